// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// meters are the package's metrics; telemetry.Table says what they are.
type meters struct {
	consumed, published, redeliveries, quarantined, outages, sent metric.Int64Counter
	heals, divergences                                            metric.Int64Counter
	duration, stages, toConverged                                 metric.Float64Histogram
}

func newMeters(t telemetry.Providers) meters {
	return meters{
		consumed:     t.Counter("plumbline.bus.consumed"),
		published:    t.Counter("plumbline.bus.published"),
		redeliveries: t.Counter("plumbline.bus.redeliveries"),
		quarantined:  t.Counter("plumbline.bus.quarantined"),
		outages:      t.Counter("plumbline.bus.outages"),
		sent:         t.Counter("plumbline.bus.sent"),
		heals:        t.Counter("plumbline.heals"),
		divergences:  t.Counter("plumbline.divergences"),
		duration:     t.Histogram("plumbline.bus.duration"),
		stages:       t.Histogram("plumbline.stage.duration"),
		toConverged:  t.Histogram("plumbline.commit.to_converged"),
	}
}

// skipped counts an event that a consumer has not read.
func (m meters) skipped(consumer string, t *events.Type) {
	m.consumed.Add(context.Background(), 1, metric.WithAttributes(
		attribute.String("consumer", consumer), attribute.String("type", t.Name()), attribute.String("outcome", "skipped")))
}

// count measures what an event says that was stored. It is called once for an
// event, however often it was published: a duplicate says nothing new.
func (m meters) count(ctx context.Context, e events.Event) {
	cluster := attribute.String("cluster", e.Cluster)
	m.stages.Record(ctx, e.StageEnd.Sub(e.StageStart).Seconds(), metric.WithAttributes(cluster, attribute.String("stage", e.Type.Name())))
	switch p := e.Data.(type) {
	case *events.ConvergenceCompleted:
		m.converged(ctx, cluster, "converged", p.Converging, p.After)
	case *events.ConvergenceFailed:
		m.converged(ctx, cluster, "failed", p.Converging, p.After)
	case *events.ConvergenceApplied:
		if p.Cause == causeHeal {
			m.heals.Add(ctx, 1, metric.WithAttributes(cluster))
		}
	case *events.DivergenceDetected, *events.DivergencePersisted, *events.DivergenceResolved:
		m.divergences.Add(ctx, 1, metric.WithAttributes(cluster, attribute.String("transition", e.Type.Verb)))
	}
}

// What made a convergence run: events.Converging.Cause.
const (
	causeRevision = "revision"
	causeHeal     = "heal"
)

// converged counts what a commit led to, and not what came of it later: a
// heal, a look at the level.
func (m meters) converged(ctx context.Context, cluster attribute.KeyValue, outcome string, c events.Converging, after events.Duration) {
	if c.Cause == causeRevision && after > 0 {
		m.toConverged.Record(ctx, time.Duration(after).Seconds(), metric.WithAttributes(cluster, attribute.String("outcome", outcome)))
	}
}

// sending counts the bytes of a message that was stored.
func (m meters) sending(ctx context.Context, kind string, n int) {
	m.sent.Add(ctx, int64(n), metric.WithAttributes(attribute.String("kind", kind)))
}

// gaugePatience is how long a look at a gauge waits for the bus.
const gaugePatience = time.Second

// measure has what the consumer holds and what waits for it looked at, until
// the end of it is called.
func (s *schedule) measure() (end func()) {
	t := s.conn.cfg.Telemetry
	by := metric.WithAttributes(attribute.String("consumer", s.name))
	held := t.Gauge("plumbline.bus.held", func(_ context.Context, observe telemetry.Observe) error {
		observe(s.inHand.Load(), by)
		return nil
	})
	pending := t.Gauge("plumbline.bus.pending", func(ctx context.Context, observe telemetry.Observe) error {
		if !s.conn.Connected() {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, gaugePatience)
		defer cancel()
		info, err := s.source.Info(ctx)
		if err != nil {
			return nil //nolint:nilerr // not known now; that the bus is away is said elsewhere
		}
		observe(int64(info.NumPending), by) //nolint:gosec // a count of events
		return nil
	})
	return func() { held(); pending() }
}

// MeasureLog has the size of the log looked at, until the end of it is called.
// One service does so: it is the same for all.
func (c *Conn) MeasureLog() (end func()) {
	look := func(of func(jetstream.StreamState) uint64) func(context.Context, telemetry.Observe) error {
		return func(ctx context.Context, observe telemetry.Observe) error {
			if !c.Connected() {
				return nil
			}
			ctx, cancel := context.WithTimeout(ctx, gaugePatience)
			defer cancel()
			info, err := c.wire.info(ctx, natsconfig.StreamEvents, struct{}{})
			if err != nil {
				return nil //nolint:nilerr // not known now; that the bus is away is said elsewhere
			}
			observe(int64(of(info.State))) //nolint:gosec // far below
			return nil
		}
	}
	size := c.cfg.Telemetry.Gauge("plumbline.bus.log.size", look(func(s jetstream.StreamState) uint64 { return s.Bytes }))
	count := c.cfg.Telemetry.Gauge("plumbline.bus.log.events", look(func(s jetstream.StreamState) uint64 { return s.Msgs }))
	return func() { size(); count() }
}
