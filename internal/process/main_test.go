// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// A child of the tests is this binary with childEnv set to what its service
// does after it has been told to stop.
const childEnv = "PROCESS_TEST_CHILD"

func TestMain(m *testing.M) {
	if behaviour := os.Getenv(childEnv); behaviour != "" {
		Main("sample", "A sample service.", "sample --key KEY", func(fs *pflag.FlagSet) RunFunc { return child(behaviour) })
	}
	os.Exit(m.Run())
}

func child(behaviour string) RunFunc {
	return func(ctx context.Context, env Env) error {
		env.Health.Check("sample", func() error { return nil })
		fmt.Println("running")
		<-ctx.Done()
		fmt.Println("stopping")
		switch behaviour {
		case "deaf":
			select {}
		case "fails":
			return errors.New("can't flush")
		case "cancelled":
			return fmt.Errorf("wait: %w", ctx.Err())
		}
		return nil
	}
}

type running struct {
	*exec.Cmd
	lines  *bufio.Scanner
	stderr *bytes.Buffer
}

func start(t *testing.T, behaviour string, args ...string) running {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = append(os.Environ(), childEnv+"="+behaviour)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return running{c, bufio.NewScanner(out), &stderr}
}

func (r running) line(t *testing.T, want string) {
	t.Helper()
	if !r.lines.Scan() || r.lines.Text() != want {
		t.Fatalf("line %q (%v), want %q; stderr:\n%s", r.lines.Text(), r.lines.Err(), want, r.stderr)
	}
}

func (r running) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := r.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func TestSignalStopsAndExitCodeTells(t *testing.T) {
	for behaviour, want := range map[string]int{"clean": ExitOK, "cancelled": ExitOK, "fails": ExitFailed} {
		for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(behaviour+"/"+s.String(), func(t *testing.T) {
				c := start(t, behaviour)
				c.line(t, "running")
				c.signal(t, s)
				c.line(t, "stopping")
				_ = c.Wait() // the exit code is what is looked at
				if got := c.ProcessState.ExitCode(); got != want {
					t.Errorf("exit code %d, want %d; stderr:\n%s", got, want, c.stderr)
				}
				if want == ExitFailed && !strings.Contains(c.stderr.String(), "can't flush") {
					t.Errorf("the failure is not logged:\n%s", c.stderr)
				}
			})
		}
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	c := start(t, "deaf")
	c.line(t, "running")
	c.signal(t, syscall.SIGTERM)
	c.line(t, "stopping")
	// NotifyContext is undone concurrently with what the service sees: signal
	// until it takes.
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Wait() }() // how it ended is in ProcessState
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			status := c.ProcessState.Sys().(syscall.WaitStatus)
			if !status.Signaled() || status.Signal() != syscall.SIGTERM {
				t.Errorf("ended with %v, want by the signal itself", c.ProcessState)
			}
			return
		case <-tick.C:
			_ = c.Process.Signal(syscall.SIGTERM) // it may have ended meanwhile
		}
	}
}

func TestWithoutAService(t *testing.T) {
	never := func(*pflag.FlagSet) RunFunc {
		return func(context.Context, Env) error { t.Error("the service ran"); return nil }
	}
	for name, c := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"version":   {[]string{"--version"}, ExitOK, "sample " + Version(), ""},
		"help":      {[]string{"--help"}, ExitOK, "A sample service.", ""},
		"flag":      {[]string{"--no-such"}, ExitUsage, "", "Run 'sample --help'"},
		"argument":  {[]string{"now"}, ExitUsage, "", `unexpected argument "now"`},
		"level":     {[]string{"--log-level=loud"}, ExitUsage, "", "want debug, info, warn or error"},
		"format":    {[]string{"--log-format=xml"}, ExitUsage, "", "want text or json"},
		"listen":    {[]string{"--health-listen=256.0.0.1:1"}, ExitFailed, "", "--health-listen 256.0.0.1:1"},
		"example":   {[]string{"--help"}, ExitOK, "  sample --key KEY\n", ""},
		"exitcodes": {[]string{"--help"}, ExitOK, "0 after a clean stop, 1 after a failure, 2 for a wrong call", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			p := program{name: "sample", about: "A sample service.", example: "sample --key KEY", command: never, stdout: &stdout, stderr: &stderr}
			if got := p.run(c.args); got != c.code {
				t.Errorf("exit code %d, want %d", got, c.code)
			}
			if !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("stdout %q, stderr %q; want %q and %q in them", &stdout, &stderr, c.stdout, c.stderr)
			}
		})
	}
}

func TestCancelledByItselfIsAFailure(t *testing.T) {
	service := func(*pflag.FlagSet) RunFunc {
		return func(context.Context, Env) error { return context.Canceled }
	}
	p := program{name: "sample", command: service, stdout: io.Discard, stderr: io.Discard}
	if got := p.run(nil); got != ExitFailed {
		t.Errorf("exit code %d, want %d: nothing had asked it to stop", got, ExitFailed)
	}
}

func TestAWrongCallOfTheServiceIsUsage(t *testing.T) {
	service := func(*pflag.FlagSet) RunFunc {
		return func(context.Context, Env) error {
			return fmt.Errorf("configure: %w", Usagef("--key is missing"))
		}
	}
	var stderr bytes.Buffer
	p := program{name: "sample", command: service, stdout: io.Discard, stderr: &stderr}
	if got := p.run(nil); got != ExitUsage || !strings.Contains(stderr.String(), "sample: configure: --key is missing\nRun 'sample --help'") {
		t.Errorf("exit code %d, want %d; stderr %q", got, ExitUsage, &stderr)
	}
	if IsUsage(errors.New("broken")) || Usage(nil) != nil {
		t.Error("not every error is a wrong call")
	}
}

func TestHealthTellsTheTruth(t *testing.T) {
	var h Health
	l, err := h.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })

	expect := func(path string, code int, text string) {
		t.Helper()
		r, err := http.Get("http://" + l.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != code || !strings.Contains(string(body), text) {
			t.Errorf("%s: %d %q, want %d and %q in it", path, r.StatusCode, body, code, text)
		}
	}
	expect("/healthz", 200, "ok")
	expect("/readyz", 503, "starting")
	h.Waiting(errors.New("the bus refuses this key"))
	expect("/readyz", 503, "starting: the bus refuses this key")
	missing := errors.New("not connected")
	h.Check("bus", func() error { return missing })
	h.Check("git", func() error { return nil })
	expect("/readyz", 503, "bus: not connected")
	missing = nil
	expect("/readyz", 200, "ok")
	expect("/healthz", 200, "ok")
	expect("/metrics", 404, "")

	var none *Health
	none.Check("bus", func() error { return nil })
	none.Waiting(nil)
}
