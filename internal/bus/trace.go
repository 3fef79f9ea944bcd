// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// propagator carries the context of one hop in the headers of a message. It
// carries no baggage.
var propagator = propagation.TraceContext{}

// carrier is a message's headers; NATS keeps their case.
type carrier nats.Header

func (c carrier) Get(key string) string { return nats.Header(c).Get(key) }
func (c carrier) Set(key, value string) { nats.Header(c).Set(key, value) }
func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}

// newTraceparent is the identity of a trace that a cause begins. It is derived
// from the cause, so that everything that one cause leads to, and leads to
// again, is in one trace (https://www.w3.org/TR/trace-context/#traceparent-header).
func newTraceparent(cause string) string {
	sum := sha256.Sum256([]byte("traceparent\x00" + cause))
	sum[0] |= 1  // no part of it may be
	sum[16] |= 1 // all zeros
	return fmt.Sprintf("00-%x-%x-01", sum[:16], sum[16:24])
}

// tracer makes the spans of the connection.
func (c *Conn) tracer() trace.Tracer { return c.cfg.Telemetry.Tracer() }

// sameTrace reports whether ctx has a span of the trace of a traceparent.
func sameTrace(ctx context.Context, traceparent string) bool {
	want := trace.SpanContextFromContext(telemetry.Within(context.Background(), traceparent))
	return want.TraceID() == trace.SpanContextFromContext(ctx).TraceID()
}

// about puts into ctx which trace and application the work on an input is of,
// for the lines of the log.
func about(ctx context.Context, in events.Event) context.Context {
	return telemetry.About(telemetry.Within(ctx, in.Traceparent), in.Application)
}

func messaging(operation string, kind attribute.KeyValue, e events.Event) trace.SpanStartOption {
	return trace.WithAttributes(
		semconv.MessagingSystemKey.String("nats"), semconv.MessagingOperationName(operation), kind,
		semconv.MessagingDestinationName(e.Type.Name()), semconv.MessagingMessageID(e.ID),
		attribute.String("plumbline.application", e.Application), attribute.String("plumbline.cluster", e.Cluster),
	)
}

// startHandling starts the span of one input: a child of the commit's trace,
// linked to the hop that brought it.
func (w *worker) startHandling(ctx context.Context, in events.Event, h nats.Header) (context.Context, trace.Span) {
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer), messaging("handle", semconv.MessagingOperationTypeProcess, in),
		trace.WithAttributes(semconv.MessagingConsumerGroupName(w.name), attribute.Int64("plumbline.sequence", int64(in.Sequence))),
	}
	hop := trace.SpanContextFromContext(propagator.Extract(context.Background(), carrier(h)))
	if hop.IsSampled() { // else it is not recorded
		options = append(options, trace.WithLinks(trace.Link{SpanContext: hop}))
	}
	return w.conn.tracer().Start(about(ctx, in), "handle "+in.Type.Name(), options...)
}

// startObserving starts the span of an observation: below what it belongs to,
// or as the first of a trace of its own, which the observation's cause then
// has.
func (w *worker) startObserving(ctx context.Context, o *observation) (context.Context, trace.Span) {
	name, options := "observe "+w.conn.cfg.Service, trace.WithAttributes(semconv.MessagingConsumerGroupName(w.name))
	if o.cause.Traceparent != "" {
		o.trace = o.cause.Traceparent
		return w.conn.tracer().Start(telemetry.Within(ctx, o.trace), name, options)
	}
	// Each attempt is another trace.
	identity := fmt.Sprintf("%s\x00%d", o.cause.ID, time.Now().UnixNano())
	ctx, span, traceparent := telemetry.Root(ctx, w.conn.tracer(), newTraceparent(identity), name, options)
	o.trace = traceparent
	return ctx, span
}

// startPublishing starts the span of one publish and puts it into the
// message's headers.
func (c *Conn) startPublishing(ctx context.Context, e events.Event, h nats.Header) (context.Context, trace.Span) {
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer), messaging("publish", semconv.MessagingOperationTypeSend, e)}
	if !sameTrace(ctx, e.Traceparent) {
		if sc := trace.SpanContextFromContext(ctx); sc.IsSampled() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: sc}))
		}
		ctx = telemetry.Within(ctx, e.Traceparent)
	}
	ctx, span := c.tracer().Start(ctx, "publish "+e.Type.Name(), options...)
	propagator.Inject(ctx, carrier(h))
	return ctx, span
}

// beginTrace starts the first span of a trace that a draft begins, from the
// start of its stage on: its cause has none, or it has one of its own, linked
// to what Draft.Begins names.
func (c *Conn) beginTrace(ctx context.Context, identity string, d events.Draft, s stage) (context.Context, trace.Span, string) {
	options := []trace.SpanStartOption{
		trace.WithTimestamp(s.start), telemetry.Link(d.Begins),
		trace.WithAttributes(attribute.String("plumbline.application", d.Application), attribute.String("plumbline.cluster", d.Cluster)),
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsSampled() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: sc}))
	}
	return telemetry.Root(ctx, c.tracer(), identity, events.TypeOf(d.Data).Noun, options...)
}

// endTrace ends it. Where nothing could be published it is left out: the next
// attempt begins it again.
func endTrace(span trace.Span, err error) {
	if span == nil {
		return
	}
	span.SetAttributes(attribute.Bool(telemetry.Idle, err != nil))
	span.End()
}
