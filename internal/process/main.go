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

	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// Env is what a service is given of its surroundings.
type Env struct {
	Name    string
	Version string
	Log     *slog.Logger
	Getenv  func(string) string
	// Health is told by the service when it can do its work. A nil Health
	// takes what it is told and forgets it.
	Health *Health
	// Telemetry takes the service's spans and metrics; the zero value forgets
	// them.
	Telemetry telemetry.Providers
}

// RunFunc is a service: it runs until ctx ends and returns when everything
// that it started has stopped, nil on a clean stop. A call that can't be is an
// error marked by [Usage].
type RunFunc func(ctx context.Context, env Env) error

// Exit codes of a process.
const (
	ExitOK     = 0 // a clean stop
	ExitFailed = 1 // the service failed
	ExitUsage  = 2 // a wrong call: a flag that is unknown or missing, a value that can't be
)

// Main runs one service as a process and exits with [ExitOK], [ExitFailed] or
// [ExitUsage]. About is a line or more for --help, and example a call with what
// it can't do without. SIGINT and SIGTERM end the service's context; a second
// one ends the process at once.
func Main(name, about, example string, command func(*pflag.FlagSet) RunFunc) {
	p := program{name: name, about: about, example: example, command: command, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run(os.Args[1:]))
}

type program struct {
	name, about    string
	example        string
	command        func(*pflag.FlagSet) RunFunc
	stdout, stderr io.Writer
}

// options are the flags that every process has.
type options struct {
	logging Logging
	health  string
	version bool
}

func (p program) run(args []string) int {
	fs := pflag.NewFlagSet(p.name, pflag.ContinueOnError)
	fs.SetOutput(p.stdout)
	fs.SortFlags = false
	fs.Usage = func() { p.help(fs) }
	service := p.command(fs)
	var o options
	o.logging.Flags(fs)
	fs.StringVar(&o.health, "health-listen", "", "address to answer GET /healthz, /readyz and /metrics on, as 127.0.0.1:8081 (default: none)")
	fs.BoolVar(&o.version, "version", false, "print the version and exit")

	if err := fs.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return ExitOK
		}
		return p.usage(err)
	}
	if fs.NArg() > 0 {
		return p.usage(fmt.Errorf("unexpected argument %q: everything is a flag", fs.Arg(0)))
	}
	if o.version {
		fmt.Fprintln(p.stdout, p.name, Version())
		return ExitOK
	}
	log, err := o.logging.Logger(p.stderr)
	if err != nil {
		return p.usage(err)
	}
	env := Env{Name: p.name, Version: Version(), Log: log.With("service", p.name), Getenv: os.Getenv, Health: &Health{}}
	if err := p.serve(service, env, o.health); IsUsage(err) {
		return p.usage(err)
	} else if err != nil {
		env.Log.Error("stopped", "error", err)
		return ExitFailed
	}
	env.Log.Info("stopped")
	return ExitOK
}

// serve runs the service until a signal, and the health listener for as long
// as the service runs, its stopping included.
func (p program) serve(service RunFunc, env Env, health string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal meets the default action
	go Rest(ctx)

	var scrape *Scrape
	if health != "" {
		scrape = NewScrape()
		env.Health.Scraped(scrape.Handler())
	}
	env, flush, err := env.Measured(ctx, scrape, false)
	if err != nil {
		return err
	}
	defer flush()
	if health != "" {
		listener, err := env.Health.Listen(health)
		if err != nil {
			return err
		}
		defer listener.Close()
		env.Log.Info("health", "listen", listener.Addr())
	}
	return Stopped(ctx, service(ctx, env))
}

// Stopped is err, or nil where err only says that ctx has ended.
func Stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (p program) usage(err error) int {
	fmt.Fprintf(p.stderr, "%s: %v\nRun '%s --help' for its flags.\n", p.name, err, p.name)
	return ExitUsage
}

func (p program) help(fs *pflag.FlagSet) {
	fmt.Fprintf(p.stdout, `%s

Usage:
  %s [flags]

Example:
  %s

'plumbline keys init' makes the keys, 'plumbline nats serve' those of the bus.

Flags:
%s
It runs until SIGINT or SIGTERM, then finishes what is in work; a second
signal ends it at once. What is cut off is done again after the next start.

Exit codes: %d after a clean stop, %d after a failure, %d for a wrong call.
`, p.about, p.name, p.example, fs.FlagUsages(), ExitOK, ExitFailed, ExitUsage)
}
