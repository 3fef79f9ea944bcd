// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Process is a binary with its arguments that can be started, killed and
// started again. Its output goes to <dir>/<name>.log. Not safe for concurrent
// use.
type Process struct {
	Name string
	Path string
	Args []string
	Dir  string   // where its log goes
	Env  []string // added to this process's own

	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has been reaped
}

// Start starts it; a second Start without an end between is an error.
func (p *Process) Start() error {
	if p.Running() {
		return fmt.Errorf("start %s: it runs already", p.Name)
	}
	log, err := os.OpenFile(p.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), p.Env...)
	// Its own group: an interrupt at the terminal reaches the rig alone,
	// which then stops what it started in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the state is read from cmd.ProcessState
		close(exited)
	}()
	p.cmd, p.exited = cmd, exited
	return nil
}

// Log is the file that its output goes to.
func (p *Process) Log() string { return filepath.Join(p.Dir, p.Name+".log") }

// PID is the process id, 0 before the first start.
func (p *Process) PID() int {
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Running reports whether it was started and has not ended.
func (p *Process) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Exited is closed when it has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Kill ends it at once with SIGKILL and waits until it is gone.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL, 10*time.Second) }

// Stop asks it to end with SIGTERM and kills it if it hasn't after 15 s.
func (p *Process) Stop() error {
	err := p.end(syscall.SIGTERM, 15*time.Second)
	if err == nil {
		return nil
	}
	return errors.Join(err, p.Kill())
}

// Pause freezes it (SIGSTOP): its connections stay open, and nothing answers,
// until [Process.Resume] or its end.
func (p *Process) Pause() error { return p.Signal(syscall.SIGSTOP) }

// Resume undoes [Process.Pause].
func (p *Process) Resume() error { return p.Signal(syscall.SIGCONT) }

// Signal sends it a signal.
func (p *Process) Signal(s syscall.Signal) error {
	if !p.Running() {
		return fmt.Errorf("signal %s: it doesn't run", p.Name)
	}
	return p.cmd.Process.Signal(s)
}

func (p *Process) end(s syscall.Signal, patience time.Duration) error {
	if !p.Running() {
		return nil
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", p.Name, err)
	}
	// One that is frozen hears of nothing else.
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", p.Name, err)
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("end %s: still there %s after %s", p.Name, patience, s)
	}
}

// Tail is the last lines of its log, for a message about its failure.
func (p *Process) Tail(lines int) string {
	b, err := os.ReadFile(p.Log())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Complaints are the last lines of its log that are warnings or errors.
func (p *Process) Complaints(lines int) string {
	b, err := os.ReadFile(p.Log())
	if err != nil {
		return err.Error()
	}
	all := slices.DeleteFunc(strings.Split(string(b), "\n"), func(line string) bool {
		return !slices.ContainsFunc(complaints, func(sign string) bool { return strings.Contains(line, sign) })
	})
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// complaints are the levels of a complaint as log/slog writes them.
var complaints = []string{" level=WARN ", " level=ERROR "}

// Until polls done every 20 ms until it is true, it fails, or ctx ends: then
// its error is the cause.
func Until(ctx context.Context, done func(context.Context) (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
