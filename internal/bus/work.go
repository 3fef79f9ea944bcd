// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/failpoint"
	"github.com/plumbline-dev/plumbline/internal/fault"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// result is what a worker tells the schedule.
type result struct {
	task *task
	// keep: it stays first in its queue until the dependency is back.
	keep       bool
	dependency string
	cause      error
	// again: an observation comes again after this delay; 0: it doesn't.
	again time.Duration
}

// worker works on one input at a time. Its io context outlives the handler's
// by a little: what was done is said before the consumer ends.
type worker struct {
	*Consumer
	io      context.Context
	backoff backoff
	yields  chan *yielding // to the schedule
}

// work sees one input through: handler, outputs, acknowledgement.
func (w *worker) work(ctx context.Context, t *task) result {
	if t.observation != nil {
		return w.observe(ctx, t)
	}
	if w.stale(ctx, t) {
		w.log.InfoContext(about(ctx, t.in), "an event of a log that is gone is left out: the new one brings what is due", "id", t.in.ID)
		return result{task: t}
	}
	if t.broken != nil {
		return w.discard(t)
	}
	var r record
	if d := t.latest(); d.count > 1 {
		a, err := w.admit(ctx, t)
		if err != nil {
			return w.giveBack(t, err)
		}
		if !a.call {
			return w.quarantine(ctx, t, a.record)
		}
		r = a.record
		if r.Quarantined {
			if lifted, err := w.lifted(ctx, t); err != nil || lifted {
				return w.lift(t, err)
			}
		}
		if a.alone {
			w.alone.Lock()
			defer w.alone.Unlock()
			return w.handle(ctx, t, r)
		}
	}
	w.alone.RLock()
	defer w.alone.RUnlock()
	return w.handle(ctx, t, r)
}

// admit counts an attempt before it is made.
func (w *worker) admit(ctx context.Context, t *task) (admission, error) {
	w.conn.meter.redeliveries.Add(ctx, 1, metric.WithAttributes(attribute.String("consumer", w.name)))
	found, err := w.ledger().read(ctx, t.id.stored)
	if err != nil {
		return admission{}, err
	}
	a := admit(t.in.ID, found)
	return a, w.ledger().write(ctx, t.id.stored, a.record)
}

func (w *worker) ledger() ledger { return ledger{w.conn.wire, w.name} }

// handle calls the handler, publishes and acknowledges.
func (w *worker) handle(ctx context.Context, t *task, r record) result {
	start := time.Now()
	if t.latest().count > 1 {
		ctx = context.WithValue(ctx, redeliveredKey{}, true)
	}
	ctx, span := w.startHandling(ctx, t.in, t.latest().msg.Headers())
	defer span.End()
	about := w.callFor(t)
	drafts, err := w.call(ctx, about, func(ctx context.Context) ([]events.Draft, error) { return w.handler(ctx, t.in) })
	s := stage{start, time.Now()}
	if err == nil {
		err = w.publish(ctx, t, s, drafts, about)
	}
	c, said := classify(err, ctx.Err() != nil)
	if c == classTerminal {
		if e := w.publishFailure(ctx, t, s, said, 0); e != nil {
			err = e
			c, _ = classify(e, ctx.Err() != nil)
		}
	}
	asked, _ := fault.Delay(err)
	v := decide(c, r, asked)
	if v.quarantine {
		if e := w.publishQuarantine(ctx, t, s, v.record); e != nil {
			err, v = e, decide(classLater, r, w.backoff.after(t.latest().count))
		}
	}
	if err != nil {
		span.SetStatus(codes.Error, string(c))
		span.SetAttributes(semconv.ErrorTypeKey.String(string(c)))
	}
	return w.settle(telemetry.About(trace.ContextWithSpan(w.io, span), t.in.Application), t, c, r, v, err, start)
}

// settle writes the count down if it changed, tells the server and says what
// happened in a line of the log.
func (w *worker) settle(ctx context.Context, t *task, c class, before record, v verdict, err error, start time.Time) result {
	w.report(ctx, t, c, v, err, start)
	if v.ack == ackKeep || v.ack == ackNak {
		v.record.ID = t.in.ID
		if before.Open || v.record.Failures > 0 {
			if e := w.ledger().write(ctx, t.id.stored, v.record); e != nil {
				w.log.WarnContext(ctx, "the count of an event's failures is not kept", "id", t.in.ID, "error", e)
			}
		}
	}
	w.acknowledge(ctx, t, v)
	if v.ack == ackKeep {
		dependency, _ := fault.AsOutage(err)
		return result{task: t, keep: true, dependency: dependency, cause: err}
	}
	return result{task: t}
}

// stale reports whether the log that t came from is no more. Its place in the
// new one is another event's: acknowledged there, that one would be lost.
func (w *worker) stale(ctx context.Context, t *task) bool {
	epoch, err := w.conn.currentEpoch(ctx)
	return err == nil && epoch != t.latest().epoch
}

func (w *worker) acknowledge(ctx context.Context, t *task, v verdict) {
	if w.stale(ctx, t) {
		return
	}
	d := t.latest()
	var err error
	switch v.ack {
	case ackDone:
		ctx, span := telemetry.Start(ctx, "ack "+w.name)
		defer span.End()
		if !t.published { // one that is lost brings the event back to no harm
			err = d.msg.Ack()
			break
		}
		// Waits until the server knows: an ack that is lost brings the event
		// back after the outputs may have left the window for duplicates.
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		ctx, stop := w.conn.untilChanged(ctx)
		defer stop()
		err = d.msg.DoubleAck(ctx)
	case ackTerm:
		err = d.msg.TermWithReason("its failure is published")
	case ackNak:
		delay := v.delay
		if v.listed {
			delay = w.backoff.after(d.count)
		}
		err = w.nak(d, delay)
	}
	if err != nil {
		w.log.DebugContext(ctx, "acknowledgement not heard: the event comes again", "id", t.in.ID, "error", err)
	}
}

// nak gives a message back; it comes again after delay, 0: at once.
func (w *worker) nak(d *delivery, delay time.Duration) error {
	if delay <= 0 {
		return d.msg.Nak()
	}
	body := fmt.Appendf(nil, `-NAK {"delay": %d}`, w.backoff.asNak(d.count, delay))
	return w.conn.wire.nc.Publish(d.msg.Reply(), body)
}

// giveBack returns an input that could not even be begun.
func (w *worker) giveBack(t *task, err error) result {
	v := verdict{ack: ackNak, listed: true}
	if errors.Is(err, context.Canceled) {
		v.listed = false // the consumer ends
	} else {
		w.log.WarnContext(about(w.io, t.in), "an event is given back", "id", t.in.ID, "error", err)
	}
	w.acknowledge(w.io, t, v)
	return result{task: t}
}

// publish publishes what an input led to, and tells who waits for that. A handler
// that has returned is not called for nothing: publishing goes on for a little
// when the consumer ends.
func (w *worker) publish(ctx context.Context, t *task, s stage, drafts []events.Draft, about *call) (err error) {
	if len(drafts) == 0 {
		return nil
	}
	t.published = true
	var stored []events.Event
	var fresh bool
	defer func() {
		if p := recover(); p != nil { // a payload that is no event's
			err = fmt.Errorf("publish: %v", p)
		}
		w.settled(drafts, stored, err == nil && fresh)
	}()
	stored, fresh, err = w.conn.publish(trace.ContextWithSpan(w.io, trace.SpanFromContext(ctx)), causeOf(t), s, drafts)
	if err != nil {
		return err
	}
	if fresh {
		about.tell(stored)
	}
	return failpoint.Hit(failpoint.BusAfterPublish)
}

// report writes the one line about an event that failed, without its payload,
// and counts.
func (w *worker) report(ctx context.Context, t *task, c class, v verdict, err error, start time.Time) {
	took := time.Since(start)
	name := "unknown"
	if t.in.Type != nil {
		name = t.in.Type.Name()
	}
	attributes := metric.WithAttributes(attribute.String("consumer", w.name), attribute.String("type", name), attribute.String("outcome", string(c)))
	w.conn.meter.consumed.Add(ctx, 1, attributes)
	w.conn.meter.duration.Record(ctx, took.Seconds(), attributes)
	if err == nil || c == classShutdown || c == classOutage {
		return // an outage is said once, by the schedule
	}
	level := slog.LevelWarn
	if c == classTerminal || v.quarantine {
		level = slog.LevelError
	}
	w.log.Log(ctx, level, "event failed",
		"type", name, "application", t.in.Application, "cluster", t.in.Cluster, "id", t.in.ID, "stored", t.id.stored,
		"outcome", string(c), "failures", v.record.Failures, "quarantined", v.record.Quarantined, "took", took, "error", err)
}

// observe sees an observation through.
func (w *worker) observe(ctx context.Context, t *task) result {
	w.alone.RLock()
	defer w.alone.RUnlock()
	start := time.Now()
	ctx, span := w.startObserving(ctx, t.observation)
	about := w.callFor(t)
	drafts, err := w.call(ctx, about, t.observation.fn)
	s := stage{start, time.Now()}
	if err == nil {
		err = w.publish(ctx, t, s, drafts, about)
	}
	c, said := classify(err, ctx.Err() != nil)
	span.SetAttributes(attribute.Bool(telemetry.Idle, len(drafts) == 0 && c != classTerminal))
	defer telemetry.End(span, err, string(c))
	if c == classTerminal {
		if e := w.publishFailure(ctx, t, s, said, 0); e != nil {
			err = e
			c, _ = classify(e, ctx.Err() != nil)
		}
	}
	asked, _ := fault.Delay(err)
	w.report(trace.ContextWithSpan(w.io, span), t, c, decide(c, record{Failures: t.observation.failures}, asked), err, start)
	switch c {
	case classOutage:
		dependency, _ := fault.AsOutage(err)
		return result{task: t, keep: true, dependency: dependency, cause: err}
	case classConflict:
		return result{task: t, again: conflictDelay}
	case classLater:
		return result{task: t, again: max(asked, time.Millisecond)}
	case classRetry:
		t.observation.failures++
		return result{task: t, again: w.backoff.after(t.observation.failures)}
	}
	return result{task: t}
}
