// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"runtime/debug"

	"github.com/plumbline-dev/plumbline/events"
)

// childMarker is the one argument of a render child. Its environment is
// empty.
const childMarker = "plumbline-render-child"

// ServeChild turns this process into a render child if it was started as one,
// and then never returns. Every program that runs the renderer, and the main
// of its tests, calls it before anything else.
func ServeChild() {
	if len(os.Args) != 2 || os.Args[1] != childMarker {
		return
	}
	in, out, err := confine()
	if err == nil {
		err = serve(in, out)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		os.Exit(1)
	}
	os.Exit(0)
}

// confine takes from the process what a render doesn't need: environment,
// network, files, the standard streams. It returns the pipes to the parent.
func confine() (in, out *os.File, err error) {
	os.Clearenv()
	in, out = os.Stdin, os.Stdout
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	// kustomize prints warnings; they may quote files.
	os.Stdin, os.Stdout, os.Stderr = null, null, null
	log.SetOutput(io.Discard)
	http.DefaultTransport = noNetwork{}
	debug.SetMaxStack(256 << 20)
	// A render leaves little behind, and its memory is limited from outside:
	// collecting at every 4 MiB took a fifth of its time.
	debug.SetGCPercent(400)
	return in, out, confineSystem()
}

// noNetwork refuses every request, whatever the kernel lets through.
type noNetwork struct{}

var errNoNetwork = errors.New("plumbline: no network in a render")

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) { return nil, errNoNetwork }

// serve renders one request after another until the parent closes the pipe.
func serve(in io.Reader, out io.Writer) error {
	r := bufio.NewReaderSize(newPipe(in), 64<<10)
	memory := int64(0)
	for {
		what, body, err := readFrame(r, 1<<20)
		if err != nil {
			return err
		}
		var q request
		if what != frameRequest || json.Unmarshal(body, &q) != nil {
			return errFrame
		}
		if memory != q.Memory { // it stops the world
			memory = q.Memory
			debug.SetMemoryLimit(memory)
		}
		known, err := readAhead(r, q.Ahead)
		if err != nil {
			return err
		}
		reply, err := renderOne(&client{r: r, w: out, known: known, room: q.Output}, q)
		if err != nil {
			return err
		}
		reply.Used = known.used()
		data, err := json.Marshal(reply)
		if err != nil {
			return err
		}
		if err := writeFrame(out, frameReply, data); err != nil {
			return err
		}
	}
}

// readAhead reads the answers that follow a request.
func readAhead(r io.Reader, n int) (knownAnswers, error) {
	known := knownAnswers{}
	for place := range n {
		what, body, err := readFrame(r, 2*maxAheadBytes)
		if err != nil {
			return nil, err
		}
		if what != frameAhead {
			return nil, errFrame
		}
		question, a, err := decodeForeseen(body)
		if err != nil {
			return nil, err
		}
		known[question] = &knownAnswer{answer: a, place: place}
	}
	return known, nil
}

// renderOne turns a panic in a render into a failure; after it the child is
// replaced.
func renderOne(c *client, q request) (r reply, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case broken:
			err = p.err
		default:
			// The value of a panic may quote a file.
			r = reply{Spent: true, Failure: fail(events.ReasonCrashed, "", 0, "the render of %s broke down on what it read; the parser or kustomize has a fault", q.Path)}
		}
	}()
	return c.render(q.Path), nil
}

// newPipe reads ahead in a goroutine and ends the process when the parent is
// gone, also in the middle of a render.
func newPipe(in io.Reader) io.Reader {
	r, w := io.Pipe()
	go func() {
		buffered := bufio.NewReaderSize(in, 64<<10)
		_, err := io.Copy(w, buffered)
		if err == nil {
			err = io.EOF
		}
		_ = w.CloseWithError(err) // it never fails
		os.Exit(0)
	}()
	return r
}
