// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/internal/process"
)

// Exit codes; docs/cli.md explains them.
const (
	exitOK       = 0
	exitError    = 1
	exitUsage    = 2
	exitTimeout  = 3
	exitOpposite = 4

	exitDiffers = 1 // diff: live is not as Git declares it
	exitUnknown = 3 // diff: it could not be found out
)

// exit is an error that ends the process with a code of its own. Without an
// error in it nothing more is said: the output has told.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// usage marks err as a wrong call, as a service does.
func usage(err error) error { return process.Usage(err) }

func isUsage(err error) bool { return process.IsUsage(err) }

func usagef(format string, args ...any) error { return process.Usagef(format, args...) }

// onlyCommands takes no argument: what stands there was meant as a command.
func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	name := args[0]
	if cmd.HasParent() {
		name = cmd.Name() + " " + name
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef("there is no command %q; is it %s?", name, strings.Join(near, " or "))
	}
	return usagef("there is no command %q", name)
}

// between takes from least to most arguments, named for people.
func between(least, most int, names string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			if names == "" {
				return usagef("it takes no arguments, and got %s", strings.Join(args, " "))
			}
			return usagef("want %s, got %s", names, count(len(args), "argument"))
		}
		return nil
	}
}
