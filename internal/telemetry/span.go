// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Start starts a span below the one that ctx has in work in this process.
// Where there is none, nothing is recorded.
func Start(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	return tracerOf(ctx).Start(ctx, name, trace.WithAttributes(attributes...))
}

// Past records a span of what is over, below the one that ctx has in work.
func Past(ctx context.Context, name string, from, to time.Time, attributes ...attribute.KeyValue) {
	_, span := tracerOf(ctx).Start(ctx, name, trace.WithTimestamp(from), trace.WithAttributes(attributes...))
	span.End(trace.WithTimestamp(to))
}

// End ends a span, as failed where err is not nil. What the error says is not
// put into it: it may quote what others wrote. why names its kind, from a
// closed set.
func End(span trace.Span, err error, why string) {
	if err != nil {
		span.SetStatus(codes.Error, why)
		if why != "" {
			span.SetAttributes(attribute.String("error.type", why))
		}
	}
	span.End()
}

type applicationKey struct{}

// About says in ctx which application the work is about, for the lines of the
// log.
func About(ctx context.Context, application string) context.Context {
	if application == "" {
		return ctx
	}
	return context.WithValue(ctx, applicationKey{}, application)
}

// Application is what [About] said; empty where it said nothing.
func Application(ctx context.Context) string {
	application, _ := ctx.Value(applicationKey{}).(string)
	return application
}

func tracerOf(ctx context.Context) trace.Tracer {
	return trace.SpanFromContext(ctx).TracerProvider().Tracer(Scope)
}

// Idle is set on the first span of a piece of work that came to nothing: it is
// left out, with all that is below it.
const Idle = "plumbline.idle"
