// SPDX-License-Identifier: Apache-2.0

package kubelab

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// How often a build says how far it is: on a terminal one line is written over
// and over, elsewhere each report is a line of its own.
const (
	terminalInterval = 500 * time.Millisecond
	lineInterval     = 15 * time.Second
)

// keptMessages is how many of the last lines that are neither a package nor a
// download are kept, to explain a failure.
const keptMessages = 40

// report reads what go build -v prints, and tells how far it is.
type report struct {
	out      io.Writer
	terminal bool
	total    int // packages, 0 when unknown
	began    time.Time
	stop     chan struct{}
	stopped  chan struct{}

	mu       sync.Mutex
	rest     []byte // of an unfinished line
	packages int
	modules  int
	other    []string
}

func newReport(out io.Writer, total int) *report {
	return &report{
		out: out, terminal: isTerminal(out), total: total, began: time.Now(),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// start prints the first line and keeps reporting until finish.
func (r *report) start() {
	r.print("kubelab: building Kubernetes from source; this happens once and takes some minutes\n")
	interval := lineInterval
	if r.terminal {
		interval = terminalInterval
	}
	go func() {
		defer close(r.stopped)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-r.stop:
				return
			case <-tick.C:
				r.tell()
			}
		}
	}()
}

// finish ends the reports with one about the outcome.
func (r *report) finish(err error) {
	close(r.stop)
	<-r.stopped
	outcome := "built"
	if err != nil {
		outcome = "failed"
	}
	if r.terminal {
		r.print("\r\x1b[K")
	}
	r.print(fmt.Sprintf("kubelab: %s after %s\n", outcome, time.Since(r.began).Round(time.Second)))
}

func (r *report) tell() {
	r.mu.Lock()
	state := fmt.Sprintf("%d packages compiled", r.packages)
	if r.total > 0 {
		state = fmt.Sprintf("%d of at most %d packages compiled", r.packages, r.total)
	}
	if r.packages == 0 {
		state = fmt.Sprintf("%d modules downloaded", r.modules)
	}
	r.mu.Unlock()
	line := fmt.Sprintf("kubelab: %s, %s", state, time.Since(r.began).Round(time.Second))
	if r.terminal {
		r.print("\r\x1b[K" + line)
		return
	}
	r.print(line + "\n")
}

// print ignores errors: a build does not fail because nobody can watch it.
func (r *report) print(text string) { _, _ = io.WriteString(r.out, text) }

// Write takes the go command's output.
func (r *report) Write(data []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rest = append(r.rest, data...)
	for {
		line, rest, found := bytes.Cut(r.rest, []byte("\n"))
		if !found {
			return len(data), nil
		}
		r.rest = rest
		r.line(string(line))
	}
}

func (r *report) line(line string) {
	switch {
	case strings.HasPrefix(line, "go: downloading "):
		r.modules++
	case isPackagePath(line):
		r.packages++
	default:
		r.other = append(r.other, line)
		r.other = r.other[max(0, len(r.other)-keptMessages):]
	}
}

// messages are the last lines that the go command had to say.
func (r *report) messages() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(append(r.other, string(r.rest)), "\n")
}

// isPackagePath tells the name of a package, which go build -v prints alone on
// its line, from a message.
func isPackagePath(line string) bool {
	return line != "" && !strings.ContainsAny(line, " :#")
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && file.Name() != os.DevNull
}
