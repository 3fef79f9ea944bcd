// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// settleFor is how long changes are gathered before the health of the
// applications that they concern is looked at.
const settleFor = 25 * time.Millisecond

// followHealth looks at the health of applications as the watches tell of
// changes. Nobody waits: an application that is on its way to health holds no
// worker, and only a change of its state goes through its queue.
func (a *applier) followHealth(ctx context.Context) {
	waiting := map[string]bool{}
	var timer <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case name := <-a.dirty:
			waiting[name] = true
			if timer == nil {
				timer = time.After(settleFor)
			}
		case <-timer:
			for name := range waiting {
				a.lookAtHealth(name)
			}
			clear(waiting)
			timer = nil
		}
	}
}

// lookAtHealth takes one look at an application, and has what it shows
// published.
func (a *applier) lookAtHealth(name string) {
	app := a.application(name)
	app.mu.Lock()
	defer app.mu.Unlock()
	if slices.ContainsFunc(app.waits, func(o events.Object) bool { _, there := a.observer.get(o); return !there }) {
		app.waits = nil // the way is free: no need to wait for the next attempt
		if app.retry != nil && app.retry.Stop() {
			app.retryAt = time.Time{}
			a.poke(name)
		}
	}
	if app.pending || app.health.Phase == healthUnknown {
		return
	}
	v := judge(app.expected, a.seen(app.expected))
	now := time.Now()
	next, report := decideHealth(app.health, v, app.complete, a.grace, now)
	if report == reportNothing {
		app.health = next
		a.lookAgainAt(app, next.next(a.grace))
		return
	}
	app.pending = true
	cause := a.observation("health", name, app.about)
	var before, after *healthState
	a.consumer.Observe(name, cause, func(ctx context.Context) ([]events.Draft, error) {
		app.mu.Lock()
		if before != nil && app.health == *after { // called again: what it said could not be published
			app.health = *before
		}
		was := app.health
		app.mu.Unlock()
		drafts, next := a.reportHealth(ctx, app)
		before, after = &was, &next
		return drafts, nil
	})
}

// seen returns how objects were last seen, by key.
func (a *applier) seen(objs []events.Object) func(string) (sighting, bool) {
	byKey := make(map[string]events.Object, len(objs))
	for _, o := range objs {
		byKey[o.Key()] = o
	}
	return func(key string) (sighting, bool) { return a.observer.get(byKey[key]) }
}

// lookAgainAt sets the time of the next look; app.mu is held.
func (a *applier) lookAgainAt(app *application, at time.Time) {
	if app.look != nil {
		app.look.Stop()
		app.look = nil
	}
	if !at.IsZero() && a.ctx.Err() == nil {
		app.look = time.AfterFunc(max(time.Until(at), 0)+time.Millisecond, func() { a.told(app.name, "") })
	}
}

// reportHealth looks once more, in the application's queue, and returns the
// event that the look leads to, and the state after it.
func (a *applier) reportHealth(ctx context.Context, app *application) ([]events.Draft, healthState) {
	app.mu.Lock()
	about := app.about
	app.mu.Unlock()
	observed := a.observedAt(ctx, app.name, about)
	app.mu.Lock()
	defer app.mu.Unlock()
	app.pending = false
	now := bus.Now(ctx)
	v := judge(app.expected, a.seen(app.expected))
	next, report := decideHealth(app.health, v, app.complete, a.grace, now)
	app.health = next
	a.lookAgainAt(app, next.next(a.grace))
	if report != reportNothing && !app.waitsFrom.IsZero() {
		telemetry.Past(ctx, "wait for health", app.waitsFrom, now, attribute.Int("plumbline.objects", len(app.expected)))
		app.waitsFrom = time.Time{}
	}
	message, failures := v.describe()
	var p events.Payload
	switch report {
	case reportCompleted:
		p = &events.ConvergenceCompleted{Converging: app.said, Counts: app.counts, After: events.Duration(now.Sub(observed).Round(time.Millisecond))}
	case reportFailed:
		p = &events.ConvergenceFailed{Converging: app.said, Reason: events.ReasonUnhealthy, Message: message, Failures: failures, Failed: len(v.Unhealthy), After: events.Duration(now.Sub(observed).Round(time.Millisecond))}
	case reportDegraded:
		p = &events.ConvergenceDegraded{Converging: app.said, Reason: events.ReasonUnhealthy, Message: message, Failures: failures}
	default:
		return nil, next
	}
	return []events.Draft{{
		Data: p, Address: a.address(app.name), Revision: order(app.about), Trace: app.about.Traceparent,
		Correlation: app.about.CorrelationID,
	}}, next
}

// observedAt is when the revision that an application converges to was
// observed: by the log, or where the log has gone on since, when its bundle
// was made.
func (a *applier) observedAt(ctx context.Context, name string, about events.Event) time.Time {
	e, err := a.bus.Last(ctx, typeOf(&events.CommitObserved{}).Subject(a.address(name)))
	if err == nil && order(e) == order(about) {
		return e.Time
	}
	if err != nil && !errors.Is(err, bus.ErrNone) {
		a.log.DebugContext(ctx, "read when a revision was observed", "application", name, "error", err)
	}
	return about.Time
}

// timeFailures says of a revision that was given up how long after its observation
// that was.
func (a *applier) timeFailures(ctx context.Context, t *task, drafts []events.Draft) {
	for _, d := range drafts {
		if failed, ok := d.Data.(*events.ConvergenceFailed); ok && t.cause == causeRevision {
			failed.After = events.Duration(max(0, bus.Now(ctx).Sub(a.observedAt(ctx, t.app.name, t.event))).Round(time.Millisecond))
		}
	}
}
