// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
)

// Env is what a service is given of its surroundings.
type Env struct {
	Name    string
	Version string
	Log     *slog.Logger
	Getenv  func(string) string
}

// RunFunc is a service: it runs until ctx ends and returns when everything
// that it started has stopped, nil on a clean stop.
type RunFunc func(ctx context.Context, env Env) error

// Main runs one service as a process and exits: 0 after a clean stop, 1 after
// a failure, 2 for a wrong call. SIGINT and SIGTERM end ctx; a second one
// ends the process at once.
func Main(name string, command func(*pflag.FlagSet) RunFunc) {
	os.Exit(run(name, command, os.Args[1:], os.Stderr))
}

func run(name string, command func(*pflag.FlagSet) RunFunc, args []string, stderr io.Writer) int {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	fs.SetOutput(stderr)
	var logging Logging
	logging.Flags(fs)
	service := command(fs)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return 0
		}
		fmt.Fprintf(stderr, "%s: %v\nRun '%s --help' for its flags.\n", name, err, name)
		return 2
	}
	log, err := logging.Logger(stderr)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal meets the default action
	env := Env{Name: name, Version: Version(), Log: log.With("service", name), Getenv: os.Getenv}
	if err := service(ctx, env); err != nil && !errors.Is(err, context.Canceled) {
		env.Log.Error("stopped", "error", err)
		return 1
	}
	return 0
}
