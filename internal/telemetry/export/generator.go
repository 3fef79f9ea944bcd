// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"crypto/rand"

	"go.opentelemetry.io/otel/trace"

	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// generator gives a trace the identity that [telemetry.Root] asks for, and
// every other span a random one.
type generator struct{}

// NewIDs is the identity of a span that begins a trace.
func (g generator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if sc, ok := telemetry.Identity(ctx); ok {
		return sc.TraceID(), sc.SpanID()
	}
	var id trace.TraceID
	for !id.IsValid() {
		_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	}
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID is the identity of a span within a trace.
func (generator) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	var id trace.SpanID
	for !id.IsValid() {
		_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	}
	return id
}
