// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// fetched is what one fetch took.
type fetched struct {
	from, to time.Time
	bytes    int64
}

// begun is the trace of a commit whose first span is open.
type begun struct {
	span        trace.Span
	traceparent string
}

// maxBegun bounds how many traces a reader remembers to have begun.
const maxBegun = 256

// trace is the trace of a commit, as a context and as its traceparent. It
// begins with the look that found the commit: for all applications of which it
// is a revision it is the same.
func (p *pass) trace(ctx context.Context, f finding) (context.Context, string) {
	identity := traceparent(f)
	if open, ok := p.open[identity]; ok {
		return trace.ContextWithSpan(ctx, open.span), open.traceparent
	}
	if known := p.begun[identity]; known != "" {
		return telemetry.Within(ctx, known), known
	}
	options := append([]trace.SpanStartOption{trace.WithTimestamp(p.began)}, commitAttributes(f.declaration, f.ref(), f.tip.String(), p.trigger)...)
	ctx, span, passed := telemetry.Root(ctx, p.hub.Bus.Telemetry.Tracer(), identity, "commit", append(options, p.linked())...)
	for _, fetch := range p.fetches {
		telemetry.Past(ctx, "git fetch", fetch.from, fetch.to, attribute.Int64("plumbline.bytes", fetch.bytes))
	}
	p.open[identity] = begun{span, passed}
	p.remember(identity, passed)
	return ctx, passed
}

func (r *reader) remember(identity, passed string) {
	if len(r.begun) >= maxBegun {
		clear(r.begun)
	}
	r.begun[identity] = passed
}

// endTraces ends the first spans of what this pass has published.
func (p *pass) endTraces() {
	for _, open := range p.open {
		open.span.End()
	}
	clear(p.open)
}

func commitAttributes(d events.Declaration, ref, commit, trigger string) []trace.SpanStartOption {
	return []trace.SpanStartOption{trace.WithAttributes(
		semconv.VCSRepositoryName(d.Source.Repository), semconv.VCSRepositoryURLFull(d.Source.URL),
		semconv.VCSRefHeadName(ref), semconv.VCSRefHeadRevision(commit),
		attribute.String("plumbline.trigger", trigger),
	)}
}

// againWithin is how old a revision may be whose trace's first span is sent
// once more by a watcher that starts: the one before may have been killed
// before it could. A collector knows the same span by its identity.
const againWithin = time.Minute

// sendAgain sends the first span of a revision that an earlier watcher
// published just before it ended.
func (p *pass) sendAgain(e events.Event) {
	data, ok := e.Data.(*events.CommitObserved)
	if !ok || e.StageEnd.After(p.hub.started) || p.hub.started.Sub(e.StageEnd) > againWithin || slices.Contains(slices.Collect(maps.Values(p.begun)), e.Traceparent) {
		return
	}
	sc := trace.SpanContextFromContext(telemetry.Within(context.Background(), e.Traceparent))
	if !sc.IsSampled() {
		return
	}
	options := append([]trace.SpanStartOption{trace.WithTimestamp(e.StageStart)},
		commitAttributes(data.Declaration, data.Revision.Ref, data.Revision.Commit, data.Revision.Trigger)...)
	_, span, _ := telemetry.Root(context.Background(), p.hub.Bus.Telemetry.Tracer(), e.Traceparent, "commit", options...)
	span.End(trace.WithTimestamp(e.StageEnd))
	p.remember(e.Traceparent, e.Traceparent)
}

// linked links to the webhook that asked for the look, if one did.
func (p *pass) linked() trace.SpanStartOption {
	if !p.hook.IsSampled() {
		return trace.WithLinks()
	}
	return trace.WithLinks(trace.Link{SpanContext: p.hook})
}

// timeHeadStart records, in the traces that are open, the wait since from: their
// first spans last until the others are told, too, and it is no work.
func (p *pass) timeHeadStart(from time.Time) {
	for _, open := range p.open {
		telemetry.Past(trace.ContextWithSpan(context.Background(), open.span), "head start", from, time.Now())
	}
}

// timeFetch measures one fetch that brought something.
func (p *pass) timeFetch(ctx context.Context, fetch func() error) error {
	before, from := p.mirror.received, time.Now()
	err := fetch()
	f := fetched{from, time.Now(), p.mirror.received - before}
	if f.bytes == 0 && err == nil {
		return nil // nothing was missing
	}
	p.fetches = append(p.fetches, f)
	outcome := "done"
	if err != nil {
		outcome = "failed"
	}
	p.hub.meters.fetches.Record(ctx, f.to.Sub(f.from).Seconds(), metric.WithAttributes(attribute.String("outcome", outcome)))
	p.hub.meters.fetched.Add(ctx, f.bytes)
	return err
}

// meters are the watcher's metrics; telemetry.Table says what they are.
type meters struct {
	fetches metric.Float64Histogram
	fetched metric.Int64Counter
}

func newMeters(t telemetry.Providers) meters {
	return meters{t.Histogram("plumbline.git.fetch.duration"), t.Counter("plumbline.git.fetch.size")}
}

// heard keeps the span of a webhook for the look that it asks for.
func (h *hub) heard(repository string, sc trace.SpanContext) { h.hooks.Store(repository, sc) }

// hookOf is the span of the webhook that asked for a look of a reader, taken
// once. The fleet's reader looks for all that have no other.
func (r *reader) hookOf() trace.SpanContext {
	var found trace.SpanContext
	r.hub.hooks.Range(func(key, value any) bool {
		name := key.(string) //nolint:forcetypeassert // heard stores nothing else
		if name == r.name || r.isFleet && r.hub.readerOf(name) == nil {
			found = value.(trace.SpanContext) //nolint:forcetypeassert // heard stores nothing else
			r.hub.hooks.Delete(key)
		}
		return true
	})
	return found
}

func (h *hub) readerOf(repository string) *reader {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.readers[repository]
}
