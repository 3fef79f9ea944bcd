// SPDX-License-Identifier: Apache-2.0

package kubelab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// process is one run of kubelab up.
type process struct {
	cmd   *exec.Cmd
	ready map[string]string // the fields of its ready line
	boot  time.Duration
	done  chan struct{} // closed when it has ended
}

// startProcess runs kubelab and returns once it has printed its ready line.
func startProcess(ctx context.Context, binary string, args []string) (*process, error) {
	cmd := exec.Command(binary, args...)
	// Its own process group: a Ctrl-C on the terminal is for the parent, which
	// ends the cluster when it no longer needs it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := os.CreateTemp("", "kubelab-stderr-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = stderr.Close() }()           // the child has its own descriptor
	defer func() { _ = os.Remove(stderr.Name()) }() // only read until it is ready
	// A file and no pipe: a detached child must be able to write after we ended.
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	lines := make(chan string, 1)
	go p.watch(stdout, lines)

	select {
	case line, ok := <-lines:
		if ok {
			p.boot = time.Since(began)
			p.ready, err = parseReady(line)
			return p, err
		}
		<-p.done
		return nil, fmt.Errorf("it ended: %s: %s", cmd.ProcessState, tail(stderr))
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), p.signal(syscall.SIGKILL))
	}
}

// watch hands on the first line of standard output and waits for the end.
func (p *process) watch(stdout io.Reader, lines chan<- string) {
	reader := bufio.NewReader(stdout)
	if line, err := reader.ReadString('\n'); err == nil {
		lines <- line
	}
	close(lines)
	_, _ = io.Copy(io.Discard, reader) // nothing more is printed; this waits for the end
	_ = p.cmd.Wait()                   // how it ended stays in ProcessState
	close(p.done)
}

// signal sends sig; a process that has ended needs none.
func (p *process) signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// parseReady reads "kubelab ready key=value ...".
func parseReady(line string) (map[string]string, error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(line), "kubelab ready ")
	if !ok {
		return nil, fmt.Errorf("unexpected output: %q", line)
	}
	fields := map[string]string{}
	for field := range strings.FieldsSeq(text) {
		if key, value, ok := strings.Cut(field, "="); ok {
			fields[key] = value
		}
	}
	return fields, nil
}

// tail is the end of a file, for an error message.
func tail(file *os.File) string {
	const most = 4 << 10
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	text := make([]byte, min(size, most))
	n, err := file.ReadAt(text, size-int64(len(text)))
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return strings.TrimSpace(string(text[:n]))
}
