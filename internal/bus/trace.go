// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/plumbline-dev/plumbline/events"
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

// newTraceparent starts a trace for a cause that has none. It is derived from
// the cause, so that everything that one cause leads to, and leads to again,
// is in one trace (https://www.w3.org/TR/trace-context/#traceparent-header).
func newTraceparent(cause string) string {
	sum := sha256.Sum256([]byte("traceparent\x00" + cause))
	sum[0] |= 1  // no part of it may be
	sum[16] |= 1 // all zeros
	return fmt.Sprintf("00-%x-%x-01", sum[:16], sum[16:24])
}

// withTrace puts the trace of an event into ctx, as the remote parent of the
// spans to come.
func withTrace(ctx context.Context, traceparent string) context.Context {
	return propagator.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

// startHandling starts the span of one input: a child of the commit's trace,
// linked to the hop that brought it.
func startHandling(ctx context.Context, consumer string, in events.Event, h nats.Header) (context.Context, trace.Span) {
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(
			attribute.String("messaging.system", "nats"),
			attribute.String("messaging.consumer.group.name", consumer),
			attribute.String("messaging.message.id", in.ID),
			attribute.String("plumbline.application", in.Application),
			attribute.String("plumbline.cluster", in.Cluster),
			attribute.Int64("plumbline.sequence", int64(in.Sequence)),
		),
	}
	hop := trace.SpanContextFromContext(propagator.Extract(context.Background(), carrier(h)))
	if hop.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: hop}))
	}
	return otel.Tracer(instrumentation).Start(withTrace(ctx, in.Traceparent), "handle "+in.Type.Name(), options...)
}

// startPublishing starts the span of one publish and puts it into the
// message's headers.
func startPublishing(ctx context.Context, e events.Event, h nats.Header) (context.Context, trace.Span) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = withTrace(ctx, e.Traceparent)
	}
	ctx, span := otel.Tracer(instrumentation).Start(ctx, "publish "+e.Type.Name(),
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(
			attribute.String("messaging.system", "nats"),
			attribute.String("messaging.message.id", e.ID),
			attribute.String("plumbline.application", e.Application),
		))
	propagator.Inject(ctx, carrier(h))
	return ctx, span
}
