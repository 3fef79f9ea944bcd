// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// traced adds the id of the trace that a line belongs to, and the application
// that it is about.
type traced struct{ slog.Handler }

// Handle adds application and trace_id where the context has one, and the line
// doesn't.
func (t traced) Handle(ctx context.Context, r slog.Record) error {
	var more []slog.Attr
	if application := telemetry.Application(ctx); application != "" && !has(r, "application") {
		more = append(more, slog.String("application", application))
	}
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() && !has(r, "trace_id") {
		more = append(more, slog.String("trace_id", sc.TraceID().String()))
	}
	if len(more) > 0 {
		r = r.Clone()
		r.AddAttrs(more...)
	}
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

// WithAttrs keeps adding them.
func (t traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{t.Handler.WithAttrs(attrs)} }

// WithGroup keeps adding them, in the group.
func (t traced) WithGroup(name string) slog.Handler { return traced{t.Handler.WithGroup(name)} }
