// SPDX-License-Identifier: Apache-2.0

// Command plumbline is Plumbline's command line: it runs all services and the
// bus in one process (up), or the bus alone (nats serve), and asks and tells a
// running system as its operator.
//
// It reads the log and publishes sync.requested and approval.given; why, diff and
// doctor also read a cluster, with the kubeconfig that they are given. It never
// writes to a cluster itself, nor speaks to a repository.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/services/renderer"
)

func main() {
	renderer.ServeChild()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command and returns its exit code. SIGINT and SIGTERM end its
// context; a second one ends the process at once.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	mistaken := checkHelp(root)
	cmd, err := root.ExecuteContextC(ctx)
	return report(stderr, cmd, cmp.Or(err, *mistaken))
}

// report prints an error for people and returns the exit code that it stands
// for.
func report(stderr io.Writer, cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	code := exitError
	var e *exit
	switch {
	case errors.As(err, &e):
		if code = e.code; e.err == nil {
			return code
		}
	case process.IsUsage(err):
		code = exitUsage
	}
	for i, line := range strings.Split(err.Error(), "\n") { // it may quote what a cluster or a server says
		if i == 0 {
			line = "plumbline: " + line
		}
		fmt.Fprintln(stderr, printableLine(line))
	}
	if code == exitUsage {
		fmt.Fprintf(stderr, "Run '%s --help' for what it takes.\n", cmd.CommandPath())
	}
	return code
}

const rootHelp = `Plumbline keeps clusters true to Git.

A commit becomes an event, a rendered bundle, a converged cluster; a change that
somebody makes in the cluster by hand becomes a divergence that says what was
changed, by which tool, and against which line of Git, and is healed.

Commands that ask a running system find it by --data, the folder of an 'up' or a
'nats serve' (default: the one that 'up' uses by default), or by --server and
--creds.`

const rootExample = `  plumbline up --fleet https://git.example.com/fleet.git
  plumbline status
  plumbline why deploy/web -n shop .spec.replicas
  plumbline diff shop-web
  plumbline events --follow --type 'divergence.*'
  plumbline wait shop-web --for converged --commit "$(git rev-parse HEAD)"`

const exitHelp = `
Exit codes:
{{- if eq .Name "diff"}}
  0  live has what Git declares
  1  something differs
  2  a wrong call
  3  it could not be found out: the message says why and what to do
{{- else}}
  0  done{{if eq .Name "wait"}}: it is reached{{else if eq .Name "doctor"}}: nothing fails, though there may be warnings{{end}}
  1  failed: {{if eq .Name "doctor"}}a check did, or none could be made{{else}}the message says why and what to do{{end}}
  2  a wrong call
{{- end}}
{{- if not .HasParent}}
  3  wait: not reached within --timeout; diff: it could not be found out
  4  wait: the commit has ended the other way
{{- else if eq .Name "wait"}}
  3  not reached within --timeout
  4  the commit has ended the other way
{{- end}}
`

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "plumbline",
		Short:         "Keeps clusters true to Git",
		Long:          rootHelp,
		Example:       rootExample,
		Version:       process.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          onlyCommands,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.SetVersionTemplate("plumbline {{.Version}}\n")
	cobra.AddTemplateFunc("usageFlags", usageFlags)
	root.SetUsageTemplate(usageTemplate(root.UsageTemplate()))
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run it:"},
		&cobra.Group{ID: "ask", Title: "Ask and tell a running system:"},
	)
	root.AddCommand(
		upCommand(), natsCommand(), keysCommand(),
		statusCommand(), traceCommand(), historyCommand(), alertsCommand(), whyCommand(), diffCommand(), doctorCommand(),
		deadLettersCommand(), eventsCommand(), waitCommand(), syncCommand(), approveCommand(),
		versionCommand(), completionCommand(),
	)
	return root
}
