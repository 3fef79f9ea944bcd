// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// traced adds the id of the trace that a line belongs to.
type traced struct{ slog.Handler }

// Handle adds trace_id where the context has one, and the line doesn't.
func (t traced) Handle(ctx context.Context, r slog.Record) error {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.HasTraceID() || has(r, "trace_id") {
		return t.Handler.Handle(ctx, r)
	}
	r = r.Clone()
	r.AddAttrs(slog.String("trace_id", sc.TraceID().String()))
	return t.Handler.Handle(ctx, r)
}

func has(r slog.Record, key string) bool {
	found := false
	r.Attrs(func(a slog.Attr) bool {
		found = a.Key == key
		return !found
	})
	return found
}

// WithAttrs keeps adding the id.
func (t traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{t.Handler.WithAttrs(attrs)} }

// WithGroup keeps adding the id, in the group.
func (t traced) WithGroup(name string) slog.Handler { return traced{t.Handler.WithGroup(name)} }
