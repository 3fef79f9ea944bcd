// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

type identityKey struct{}

// Identity is the identity that a trace which begins in ctx is to have, as
// [Root] set it.
func Identity(ctx context.Context) (trace.SpanContext, bool) {
	sc, ok := ctx.Value(identityKey{}).(trace.SpanContext)
	return sc, ok && sc.IsValid()
}

// Root starts the first span of a trace whose identity is known beforehand:
// the trace and span id of traceparent (W3C Trace Context). It is known
// beforehand so that a cause that is met twice begins one trace, not two, and
// so that there is an identity where nothing is recorded.
//
// What it returns as the traceparent to pass on says truly whether the span is
// recorded: who takes part in the trace records its spans, by the parent-based
// sampler, only where their parent arrives.
func Root(ctx context.Context, t trace.Tracer, traceparent, name string, options ...trace.SpanStartOption) (context.Context, trace.Span, string) {
	identity := trace.SpanContextFromContext(Within(context.Background(), traceparent))
	started, span := t.Start(context.WithValue(ctx, identityKey{}, identity), name, append(options, trace.WithNewRoot())...)
	if span.SpanContext().IsValid() {
		return started, span, Traceparent(span.SpanContext())
	}
	// Nothing is recorded; the identity goes on.
	identity = identity.WithTraceFlags(0)
	ctx = trace.ContextWithRemoteSpanContext(ctx, identity)
	return ctx, trace.SpanFromContext(ctx), Traceparent(identity)
}

var propagator = propagation.TraceContext{}

// Within puts the trace of a traceparent into ctx, as the remote parent of the
// spans to come.
func Within(ctx context.Context, traceparent string) context.Context {
	return propagator.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

// Traceparent writes a span's identity down; empty where it has none.
func Traceparent(sc trace.SpanContext) string {
	carrier := propagation.MapCarrier{}
	propagator.Inject(trace.ContextWithSpanContext(context.Background(), sc), carrier)
	return carrier["traceparent"]
}

// Link links a span to that of a traceparent; no link comes of an empty one.
func Link(traceparent string) trace.SpanStartOption {
	sc := trace.SpanContextFromContext(Within(context.Background(), traceparent))
	if !sc.IsValid() {
		return trace.WithLinks()
	}
	return trace.WithLinks(trace.Link{SpanContext: sc})
}
