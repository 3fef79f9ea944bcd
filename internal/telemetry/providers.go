// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Scope names what makes the spans and metrics.
const Scope = "github.com/plumbline-dev/plumbline"

// Providers are where one service's spans and metrics go. The zero value
// records nothing.
type Providers struct {
	Tracers trace.TracerProvider
	Meters  metric.MeterProvider
}

// Tracer makes spans.
func (p Providers) Tracer() trace.Tracer {
	if p.Tracers == nil {
		return tracenoop.NewTracerProvider().Tracer(Scope)
	}
	return p.Tracers.Tracer(Scope)
}

func (p Providers) meter() metric.Meter {
	if p.Meters == nil {
		return metricnoop.NewMeterProvider().Meter(Scope)
	}
	return p.Meters.Meter(Scope)
}

// Counter is the counter of a name of [Table]; it panics where the table has
// none.
func (p Providers) Counter(name string) metric.Int64Counter {
	i := instrument(name, Counter)
	c, err := p.meter().Int64Counter(i.Name, metric.WithUnit(i.Unit), metric.WithDescription(i.Says))
	must(err)
	return c
}

// Histogram is the histogram of a name of [Table]; it panics where the table
// has none.
func (p Providers) Histogram(name string) metric.Float64Histogram {
	i := instrument(name, Histogram)
	h, err := p.meter().Float64Histogram(i.Name, metric.WithUnit(i.Unit), metric.WithDescription(i.Says), metric.WithExplicitBucketBoundaries(seconds...))
	must(err)
	return h
}

// Observe is told one value of a gauge.
type Observe func(n int64, options ...metric.ObserveOption)

// Gauge has read called whenever the gauge of a name of [Table] is looked at;
// it panics where the table has none. read must end with its context. What
// Gauge returns ends that.
func (p Providers) Gauge(name string, read func(context.Context, Observe) error) (stop func()) {
	i := instrument(name, Gauge)
	m := p.meter()
	g, err := m.Int64ObservableGauge(i.Name, metric.WithUnit(i.Unit), metric.WithDescription(i.Says))
	must(err)
	r, err := m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		return read(ctx, func(n int64, options ...metric.ObserveOption) { o.ObserveInt64(g, n, options...) })
	}, g)
	must(err)
	return func() { _ = r.Unregister() } // its provider may have ended before
}

// must panics: the table's names and units are valid, which a test shows.
func must(err error) {
	if err != nil {
		panic("telemetry: " + err.Error())
	}
}
