// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// maxTree is the most spans of one tree; what begins after is lost. What began
// before has above it what began before.
const maxTree = 8192

// left is the tree of all spans that are lost.
var left = &tree{over: true, idle: true}

// trees keeps the spans of one piece of work together: they go on when its
// first span ends, that one first and each before those below it. A process
// that is killed has sent no span without the one above it, and a piece of
// work that came to nothing is left out as a whole (see [telemetry.Idle]).
type trees struct {
	next trace.SpanProcessor

	mu sync.Mutex
	of map[oteltrace.SpanID]*tree // of the spans that began in this process
}

type tree struct {
	root  oteltrace.SpanID
	order []oteltrace.SpanID // as they began
	ended map[oteltrace.SpanID]trace.ReadOnlySpan
	over  bool // the first span has ended
	idle  bool // and all of it is left out
}

func newTrees(next trace.SpanProcessor) *trees {
	return &trees{next: next, of: map[oteltrace.SpanID]*tree{}}
}

// OnStart takes a span into the tree of its parent.
func (t *trees) OnStart(ctx context.Context, s trace.ReadWriteSpan) {
	t.next.OnStart(ctx, s)
	id := s.SpanContext().SpanID()
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := s.Parent(); p.IsValid() && !p.IsRemote() {
		in := t.of[p.SpanID()]
		if in == nil {
			return
		}
		if !in.over && len(in.order) >= maxTree {
			in = left
		}
		t.of[id] = in
		if !in.over {
			in.order = append(in.order, id)
		}
		return
	}
	t.of[id] = &tree{root: id, order: []oteltrace.SpanID{id}, ended: map[oteltrace.SpanID]trace.ReadOnlySpan{}}
}

// OnEnd keeps a span until its tree is over.
func (t *trees) OnEnd(s trace.ReadOnlySpan) {
	for _, span := range t.end(s) {
		t.next.OnEnd(span)
	}
}

// end returns what goes on now.
func (t *trees) end(s trace.ReadOnlySpan) []trace.ReadOnlySpan {
	id := s.SpanContext().SpanID()
	t.mu.Lock()
	defer t.mu.Unlock()
	in := t.of[id]
	switch {
	case in == nil: // its parent ended long before it began
		return []trace.ReadOnlySpan{s}
	case in.over: // its tree has gone on before it
		delete(t.of, id)
		if in.idle {
			return nil
		}
		return []trace.ReadOnlySpan{s}
	}
	if id != in.root {
		in.ended[id] = s
		return nil
	}
	in.ended[id] = s
	in.over, in.idle = true, isIdle(s)
	var out []trace.ReadOnlySpan
	for _, each := range in.order {
		ended, over := in.ended[each]
		if !over {
			continue // it goes on by itself when it ends
		}
		delete(t.of, each)
		out = append(out, ended)
	}
	in.ended, in.order = nil, nil
	if in.idle {
		return nil
	}
	return out
}

func isIdle(s trace.ReadOnlySpan) bool {
	for _, a := range s.Attributes() {
		if a.Key == attribute.Key(telemetry.Idle) {
			return a.Value.AsBool()
		}
	}
	return false
}

// Shutdown ends it; trees that are not over are lost.
func (t *trees) Shutdown(ctx context.Context) error { return t.next.Shutdown(ctx) }

// ForceFlush sends what is over.
func (t *trees) ForceFlush(ctx context.Context) error { return t.next.ForceFlush(ctx) }
