// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"

	"github.com/plumbline-dev/plumbline/events"
)

// Post is a draft and the observation that led to it.
type Post struct {
	Cause events.Cause
	Draft events.Draft
}

// Posted is what became of a post: the event once it is stored, or why it isn't,
// as far as that is known.
type Posted struct {
	Event events.Event
	Err   error
}

// PublishEach publishes what several observations led to, for each as
// [Conn.Publish] does, and returns what became of each, in their order. No one
// keeps the others back: an Expectation that doesn't hold, or a draft that can't
// be an event, is that post's own error.
//
// The posts are sent in order, one behind the other, before the answer to the
// first is waited for, so they lie in the log in that order. One whose answer
// doesn't come is sent again, and waited for, on its own: under its id it is
// stored once. Who is killed meanwhile leaves each of them stored or not.
func (c *Conn) PublishEach(ctx context.Context, posts []Post) []Posted {
	out := make([]Posted, len(posts))
	sent := make([]*flight, len(posts))
	at, changed := &moment{conn: c}, c.changed()
	for i, p := range posts {
		sent[i], out[i].Err = c.dispatch(ctx, p, at)
	}
	patience, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for i, f := range sent {
		if f != nil {
			out[i].Event, out[i].Err = c.land(ctx, patience, changed, f)
		}
	}
	return out
}

// flight is a letter that was sent and whose answer is outstanding.
type flight struct {
	letter
	first  trace.Span // of the trace that the post begins; nil: it begins none
	span   trace.Span // of the publish
	future jetstream.PubAckFuture
	denied <-chan error
	done   func() // ends the watch for denials
}

// dispatch sends a post. An error says that nothing was sent.
func (c *Conn) dispatch(ctx context.Context, p Post, at *moment) (*flight, error) {
	f, s := &flight{}, stageOf(p.Cause)
	if p.Cause.Traceparent == "" {
		ctx, f.first, p.Cause.Traceparent = c.beginTrace(ctx, newTraceparent(p.Cause.ID), p.Draft, s)
	}
	var err error
	if f.letter, err = c.write(ctx, p.Cause, s, p.Draft, at); err != nil {
		endTrace(f.first, err)
		return nil, err
	}
	f.ctx, f.span = c.startPublishing(f.ctx, f.event, f.message.Header)
	f.denied, f.done = c.wire.denials.watch(f.message.Subject)
	if f.future, err = c.js.PublishMsgAsync(f.message); err != nil {
		f.future = nil // it is sent again on its own
	}
	return f, nil
}

// land waits for the answer to a flight for as long as patience lasts and the
// connection is what it was, and sends it again, on its own, where none has come.
func (c *Conn) land(ctx, patience context.Context, changed <-chan struct{}, f *flight) (e events.Event, err error) {
	defer func() {
		f.span.End()
		endTrace(f.letter.span, err)
		endTrace(f.first, err)
	}()
	s, err := f.wait(patience, changed)
	f.done()
	if err == nil || wrongLast(err) {
		e, _, err = c.answered(f.ctx, f.letter, s, err)
		return e, err
	}
	switch {
	case errors.Is(err, ErrDenied):
		return events.Event{}, fmt.Errorf("publish to %s: %w", f.message.Subject, err)
	case ctx.Err() != nil: // else it would be sent again
		return events.Event{}, fmt.Errorf("publish to %s: %w (last error: %w)", f.message.Subject, ctx.Err(), err)
	}
	s, err = c.wire.store(f.ctx, f.message)
	e, _, err = c.answered(f.ctx, f.letter, s, err)
	return e, err
}

// wait waits for the server's answer. Where none has come, whether it was stored
// is not known.
func (f *flight) wait(ctx context.Context, changed <-chan struct{}) (stored, error) {
	if f.future == nil {
		return stored{}, errUnanswered
	}
	select { // what has come counts, whatever came after it
	case a := <-f.future.Ok():
		return stored{Sequence: a.Sequence, Duplicate: a.Duplicate}, nil
	default:
	}
	select {
	case a := <-f.future.Ok():
		return stored{Sequence: a.Sequence, Duplicate: a.Duplicate}, nil
	case err := <-f.future.Err():
		return stored{}, err
	case err := <-f.denied:
		return stored{}, err
	case <-ctx.Done():
		return stored{}, ctx.Err()
	case <-changed:
		return stored{}, errUnanswered
	}
}

// errUnanswered says that no answer can come any more.
var errUnanswered = errors.New("no answer")
