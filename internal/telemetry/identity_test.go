// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"testing"

	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/plumbline-dev/plumbline/internal/telemetry"
	"github.com/plumbline-dev/plumbline/internal/telemetry/export"
)

const known = "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01"

// A trace begins under the identity that it is to have, and what is passed on
// says whether it is recorded.
func TestRoot(t *testing.T) {
	unrecorded := known[:len(known)-2] + "00"
	for name, c := range map[string]struct {
		sampler  string
		recorder bool
		want     string
		spans    int
	}{
		"recorded":    {"", true, known, 2},
		"not sampled": {"always_off", true, unrecorded, 0},
		"no exporter": {"", false, unrecorded, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if c.sampler != "" {
				t.Setenv("OTEL_TRACES_SAMPLER", c.sampler)
			}
			sent := tracetest.NewInMemoryExporter()
			var p telemetry.Providers
			if c.recorder {
				tracers := export.NewTracerProvider(sent, resource.Empty())
				p.Tracers = tracers
				defer func() { _ = tracers.Shutdown(t.Context()) }() // nothing is left to send
			}
			ctx, span, got := telemetry.Root(t.Context(), p.Tracer(), known, "first")
			if got != c.want {
				t.Errorf("passed on %s, want %s", got, c.want)
			}
			if id := trace.SpanContextFromContext(ctx).TraceID().String(); id != known[3:35] {
				t.Errorf("the context has trace %s", id)
			}
			_, below := telemetry.Start(ctx, "below")
			if id := below.SpanContext().SpanID().String(); c.spans > 0 && id == known[36:52] {
				t.Error("the span below has the first one's id")
			}
			below.End()
			span.End()
			if tracers, ok := p.Tracers.(*sdktrace.TracerProvider); ok {
				if err := tracers.ForceFlush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(sent.GetSpans()); n != c.spans {
				t.Errorf("%d spans were sent, want %d", n, c.spans)
			}
		})
	}
}
