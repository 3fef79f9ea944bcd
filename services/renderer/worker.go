// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/failpoint"
)

// limits of one render.
type limits struct {
	timeout time.Duration
	memory  int64 // bytes that the child may hold
	output  int64 // bytes of its reply
}

// worker is one child process and its pipes. It renders one request at a
// time.
type worker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     io.Reader
	last    *tail // what it printed before it died; it may quote a file
	renders int
	network bool // the kernel gave it no namespace of its own
}

// start starts a child, isolated where the kernel allows it.
func start() (*worker, error) {
	w, err := launch(true)
	if err == nil {
		return w, nil
	}
	w, err = launch(false)
	if err != nil {
		return nil, fmt.Errorf("start render child: %w", err)
	}
	w.network = true
	return w, nil
}

func launch(isolated bool) (*worker, error) {
	program, err := executable()
	if err != nil {
		return nil, err
	}
	w := &worker{cmd: exec.Command(program, childMarker), last: &tail{}}
	w.cmd.Env = []string{}
	w.cmd.Dir = "/"
	w.cmd.Stderr = w.last
	if isolated {
		isolate(w.cmd)
	}
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if w.out, err = w.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	keepFiles()
	return w, w.cmd.Start()
}

// stop ends the child and waits for it.
func (w *worker) stop() {
	_ = w.in.Close()         // ends an idle child; the kill ends any
	_ = w.cmd.Process.Kill() // it may be gone already
	_ = w.cmd.Wait()         // a killed child's status says nothing new
}

// result is the end of a render as the parent knows it.
type result struct {
	reply
	reads readSet
}

// errKilled marks the death of a child that nobody here ended.
var errKilled = errors.New("the render child died")

// render renders a path of a tree. A failure is a result; an error says that
// the child must be replaced: *failure for a limit or a crash, else the end
// of ctx or a broken source.
func (w *worker) render(ctx context.Context, t *tree, name string, l limits) (result, error) {
	w.renders++
	guard := newGuard(ctx, w.cmd.Process.Pid, l, func() { _ = w.cmd.Process.Kill() })
	defer guard.stop()
	out, err := w.converse(t, name, l)
	if err == nil {
		return out, nil
	}
	guard.stop()
	if cause := guard.cause(); cause != nil {
		return result{}, cause
	}
	if errors.Is(err, errSource) {
		return result{}, err
	}
	if errors.Is(err, errTooLarge) {
		return result{}, tooMuch(l.output)
	}
	return result{}, w.autopsy(name, err)
}

func tooMuch(limit int64) *failure {
	return fail(events.ReasonOutput, "", 0, "the application renders to more than %d KiB; split it into several", limit>>10)
}

// converse sends the request, answers the child's questions and reads its
// reply.
func (w *worker) converse(t *tree, name string, l limits) (result, error) {
	ahead, err := foresee(t, name)
	if err != nil {
		return result{}, err
	}
	q, err := json.Marshal(request{Path: name, Memory: l.memory / 4 * 3, Output: l.output, Ahead: len(ahead.sent)})
	if err != nil {
		return result{}, err
	}
	if _, err := w.in.Write(append(appendFrame(nil, frameRequest, q), ahead.frames...)); err != nil {
		return result{}, err
	}
	if err := failpoint.Hit(failpoint.RendererMidRender); err != nil {
		return result{}, err
	}
	reads := readSet{}
	for {
		what, body, err := readFrame(w.out, l.output)
		if err != nil {
			return result{}, err
		}
		switch {
		case what == frameReply:
			out := result{reads: reads}
			if json.Unmarshal(body, &out.reply) != nil || ahead.record(out.Used, reads) != nil {
				return result{}, errFrame
			}
			return out, nil
		case what != frameQuestion || len(body) == 0 || len(body) > maxPath:
			return result{}, errFrame
		}
		op, name := operation(body[0]), string(body[1:])
		a, err := t.ask(op, name)
		if err != nil {
			return result{}, err
		}
		if reads.record(op, name, a); len(reads) > maxReads {
			return result{}, fmt.Errorf("%w: more than %d paths read", errTooLarge, maxReads)
		}
		if err := writeFrame(w.in, frameAnswer, a.encode()); err != nil {
			return result{}, err
		}
	}
}

// autopsy says what a child died of, by what the Go runtime printed; nothing
// of that is repeated.
func (w *worker) autopsy(name string, err error) error {
	w.stop()
	words := w.last.String()
	switch {
	case strings.Contains(words, "stack exceeds") || strings.Contains(words, "stack overflow"):
		return fail(events.ReasonCrashed, name, 0, "something below this path is nested so deeply that it can't be rendered")
	case strings.Contains(words, "out of memory"):
		return fail(events.ReasonMemory, name, 0, "the render needs more memory than there is")
	}
	return fmt.Errorf("%w: %w", errKilled, err)
}

// guard watches over one render: it kills the child at the end of ctx, of its
// time, or of the memory that it may hold.
type guard struct {
	done chan struct{}
	once sync.Once
	why  atomic.Pointer[error]
	wg   sync.WaitGroup
}

// lookEvery is how often the memory of a rendering child is looked at.
const lookEvery = 10 * time.Millisecond

func newGuard(ctx context.Context, pid int, l limits, kill func()) *guard {
	g := &guard{done: make(chan struct{})}
	g.wg.Go(func() {
		deadline := time.NewTimer(l.timeout)
		defer deadline.Stop()
		look := time.NewTicker(lookEvery)
		defer look.Stop()
		for {
			var why error
			select {
			case <-g.done:
				return
			case <-ctx.Done():
				why = ctx.Err()
			case <-deadline.C:
				why = fail(events.ReasonTimeout, "", 0, "the render took longer than %s. Make the application smaller, or raise the renderer's --timeout", l.timeout)
			case <-look.C:
				if held, err := resident(pid); err == nil && held > l.memory {
					why = fail(events.ReasonMemory, "", 0, "the render needs more than %d MiB of memory. Make the application smaller, or raise the renderer's --memory", l.memory>>20)
				}
			}
			if why != nil {
				g.why.Store(&why)
				kill()
				return
			}
		}
	})
	return g
}

func (g *guard) stop() {
	g.once.Do(func() { close(g.done) })
	g.wg.Wait()
}

// cause is why the guard killed the child; nil if it didn't.
func (g *guard) cause() error {
	if why := g.why.Load(); why != nil {
		return *why
	}
	return nil
}

// tail keeps the start of what is written to it: the runtime names the cause
// of death first.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := 4096 - t.buf.Len(); room > 0 {
		t.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
