// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"log/slog"
	"sync"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
)

// outage says once that a collector is away, and once that it is back.
type outage struct {
	log  *slog.Logger
	what string

	mu   sync.Mutex
	away bool
	lost int
}

// took takes note of how one export went. The error is the log's then.
func (o *outage) took(err error, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err != nil && !o.away:
		o.away, o.lost = true, n
		o.log.Warn("the collector doesn't take what is exported; it is lost until it does, and nothing else is", "signal", o.what, "error", err)
	case err != nil:
		o.lost += n
	case o.away:
		o.log.Info("the collector is back", "signal", o.what, "lost", o.lost)
		o.away = false
	}
}

type spanExporter struct {
	trace.SpanExporter
	outage *outage
}

// ExportSpans never fails: its error is said.
func (e spanExporter) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	e.outage.took(e.SpanExporter.ExportSpans(ctx, spans), len(spans))
	return nil
}

type metricExporter struct {
	metric.Exporter
	outage *outage
}

// Export never fails: its error is said.
func (e metricExporter) Export(ctx context.Context, data *metricdata.ResourceMetrics) error {
	e.outage.took(e.Exporter.Export(ctx, data), 1)
	return nil
}
