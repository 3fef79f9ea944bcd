// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/plumbline-dev/plumbline/events"
)

func (w *worker) publishQuarantine(ctx context.Context, t *task, s stage, r record) error {
	w.conn.meter.quarantined.Add(ctx, 1, metric.WithAttributes(attribute.String("consumer", w.name)))
	why := fmt.Sprintf("the log of %s says why it fails", w.conn.cfg.Service)
	if r.Deaths > 0 {
		why = fmt.Sprintf("%d of them are ends of %s in the middle of it, with nothing else in hand: see what ended it (out of memory?)", r.Deaths, w.conn.cfg.Service)
	}
	attempts := r.Failures + r.Deaths
	message := fmt.Sprintf("This event has failed %d times. It is tried again ever more rarely, and left out once a newer one takes its place; %s.", attempts, why)
	return w.publishFailure(ctx, t, s, failure{events.ReasonQuarantined, message}, attempts)
}

// publishFailure publishes that an input failed for good, or, of so many
// attempts, time and again.
func (w *worker) publishFailure(ctx context.Context, t *task, s stage, f failure, attempts int) error {
	var drafts []events.Draft
	about := &call{received: t.received}
	if w.options.Failed != nil && t.observation == nil && t.broken == nil {
		var err error
		drafts, err = w.call(ctx, about, func(context.Context) ([]events.Draft, error) {
			return w.options.Failed(t.in, f.reason, f.message), nil
		})
		if err != nil {
			return err
		}
	}
	if drafts != nil {
		err := w.publish(ctx, t, s, drafts, about)
		if !errors.Is(err, events.ErrInvalid) && !errors.Is(err, events.ErrTooLarge) {
			return err
		}
		w.log.ErrorContext(ctx, "the event about a failure can't be published: the input is rejected instead", "id", t.in.ID, "error", err)
	}
	d, err := w.rejected(w.io, t, f.reason, f.message, attempts)
	if err != nil {
		return err
	}
	return w.publish(ctx, t, s, []events.Draft{d}, about)
}

// discard publishes a message that can't be decoded as rejected, and takes it
// off.
func (w *worker) discard(t *task) result {
	start := time.Now()
	err := w.publishFailure(w.io, t, stage{start, start}, failure{reasonOf(t.broken), rejectedMessage(t.broken)}, 0)
	if err != nil {
		return w.settle(w.io, t, classLater, record{}, decide(classLater, record{}, w.backoff.after(t.latest().count)), err, start)
	}
	return w.settle(w.io, t, classTerminal, record{}, decide(classTerminal, record{}, 0), t.broken, start)
}

// quarantine says that an input was counted out, and gives it back.
func (w *worker) quarantine(ctx context.Context, t *task, r record) result {
	start := time.Now()
	v := verdict{ack: ackNak, listed: true, record: r}
	err := w.publishQuarantine(ctx, t, stage{start, start}, r)
	if err != nil {
		v.record.Quarantined = false
	}
	return w.settle(w.io, t, classRetry, record{Open: true}, v, errors.Join(errors.New("the process died in the handler"), err), start)
}

// lifted reports whether a newer event has taken the place of t.
func (w *worker) lifted(ctx context.Context, t *task) (bool, error) {
	last, err := w.conn.Last(ctx, t.latest().msg.Subject())
	if errors.Is(err, ErrNone) {
		return false, nil
	}
	return err == nil && last.Stored > t.id.stored, err
}

func (w *worker) lift(t *task, err error) result {
	if err != nil {
		return w.giveBack(t, err)
	}
	w.log.InfoContext(about(w.io, t.in), "a newer event lifts the quarantine of this one", "id", t.in.ID)
	w.acknowledge(w.io, t, verdict{ack: ackDone})
	return result{task: t}
}
