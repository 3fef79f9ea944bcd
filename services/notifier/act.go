// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/failpoint"
	"github.com/plumbline-dev/plumbline/internal/incident"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// tell tells what is due about a scope, and returns what was told. It looks
// anew after each wait, so that what is told is the latest.
func (n *notifier) tell(ctx context.Context, s incident.Scope) ([]events.Draft, error) {
	if err := n.turn(ctx); err != nil {
		return nil, err
	}
	settled := bus.Now(ctx).Add(n.timing.settle)
	for {
		found, err := n.observe(ctx, s)
		if err != nil {
			return nil, err
		}
		do := decide(found, time.Now())
		delete(n.briefs, s)
		switch {
		case do == nothing && found.unrecorded:
			return []events.Draft{n.delivered(found, *found.told)}, nil
		case do == nothing:
			return nil, nil
		case do == brief && !n.takesAlone():
			n.collect(s)
			return nil, nil
		}
		if r := n.refusal(s, found); r != nil {
			return n.fail(ctx, found, r), nil
		}
		if waited, err := n.wait(ctx, settled); err != nil {
			return nil, err
		} else if waited {
			continue
		}
		alert, err := n.send(ctx, found, do)
		if limited(err) {
			continue
		}
		return n.conclude(ctx, found, alert, err)
	}
}

// conclude is what became of an alert.
func (n *notifier) conclude(ctx context.Context, found state, alert events.AlertDelivered, err error) ([]events.Draft, error) {
	r, err := n.giveUp(found.Scope, found.Says(), err)
	switch {
	case r != nil:
		if r.all {
			n.closed = r
		}
		n.refused[found.Scope] = found.Says()
		return n.fail(ctx, found, r), nil
	case err != nil:
		return nil, err
	}
	delete(n.attempts, found.Scope)
	n.memory[found.Scope] = memory{alert, found.last}
	if n.briefly(found) {
		n.recent = append(n.recent, time.Now())
	}
	return []events.Draft{n.delivered(found, alert)}, nil
}

func (n *notifier) briefly(found state) bool { return decide(found, time.Now()) == brief }

// send does one step. Changes of the first message come before the reply: they
// can be made twice, and nobody is told twice.
func (n *notifier) send(ctx context.Context, found state, do step) (events.AlertDelivered, error) {
	alert := events.AlertDelivered{
		Channel: n.cfg.Channel, Event: found.EventID(), Place: found.Place(), Says: found.Says(), Since: found.Since, Resolved: !found.Open(),
	}
	first := n.first(found)
	if do == begin || do == brief {
		return n.post(ctx, alert, first, "thread")
	}
	alert.Channel, alert.Thread, alert.Since = found.told.Channel, found.told.Thread, found.told.Since
	err := n.call(ctx, "update", func(ctx context.Context) error {
		return n.slack.update(ctx, alert.Channel, alert.Thread, first)
	})
	if err != nil && !gone(err) {
		return alert, err
	}
	if _, err := n.wait(ctx, time.Time{}); err != nil {
		return alert, err
	}
	replied, err := n.post(ctx, alert, n.reply(found), "reply")
	if !gone(err) {
		return replied, err
	}
	if _, err := n.wait(ctx, time.Time{}); err != nil {
		return alert, err
	}
	alert.Channel, alert.Thread = n.cfg.Channel, ""
	return n.post(ctx, alert, first, "thread")
}

// gone reports whether a thread can't be gone on with: somebody has deleted
// it, or the app is no longer in its channel.
func gone(err error) bool {
	var r *refusal
	return errors.Is(err, errGone) || errors.As(err, &r) && r.reason == events.ReasonChannelMissing
}

// post posts a message, to alert's thread if it has one.
func (n *notifier) post(ctx context.Context, alert events.AlertDelivered, m message, kind string) (events.AlertDelivered, error) {
	err := n.call(ctx, kind, func(ctx context.Context) error {
		channel, ts, err := n.slack.post(ctx, alert.Channel, alert.Thread, m)
		if err != nil {
			return err
		}
		if err := failpoint.Hit(failpoint.NotifierAfterPost); err != nil {
			return err
		}
		alert.Channel = channel
		if alert.Thread == "" {
			alert.Thread = ts
		} else {
			alert.Message = ts
		}
		return nil
	})
	return alert, err
}

// stopping is how long a call may go on when the notifier ends: an answer that
// is not waited for is a message that is sent again.
const stopping = 4 * time.Second

// call makes one call of Slack's, and keeps the time after which the next may
// be made.
func (n *notifier) call(ctx context.Context, kind string, fn func(context.Context) error) error {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.timing.request)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopping, cancel) })()
	asking, span := telemetry.Start(asking, "slack "+kind, attribute.String("plumbline.slack.channel", n.cfg.Channel))
	err := fn(asking)
	telemetry.End(span, err, "slack")
	err = n.blame(ctx, err)
	n.gate = time.Now().Add(n.timing.pace)
	var wait *tooMany
	var r *refusal
	switch {
	case err == nil:
		n.meters.took(ctx, kind)
		n.setTrouble(nil)
		n.takes()
	case errors.As(err, &wait):
		n.meters.waits(ctx, "retry_after")
		n.gate = time.Now().Add(max(wait.after, n.timing.pace))
		n.log.InfoContext(ctx, "Slack asks to wait", "for", wait.after)
	case errors.As(err, &r):
		if r.all {
			n.setTrouble(r)
		}
	case errors.Is(err, errGone):
	case errors.As(err, new(*unanswered)):
		n.meters.waits(ctx, "unanswered")
		n.setTrouble(nil)
	default:
		n.meters.waits(ctx, "outage")
		n.setTrouble(err)
	}
	return err
}

// wait waits until something may be sent, and not before until. It reports
// whether it had to.
func (n *notifier) wait(ctx context.Context, until time.Time) (bool, error) {
	now := time.Now()
	if n.gate.After(until) {
		until = n.gate
	}
	if !until.After(now) {
		return false, nil
	}
	n.meters.waits(ctx, "rate")
	timer := time.NewTimer(until.Sub(now))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return true, ctx.Err()
	case <-timer.C:
		return true, nil
	}
}

// delivered is the event that Slack took an alert.
func (n *notifier) delivered(found state, alert events.AlertDelivered) events.Draft {
	d := n.draft(found, &alert)
	d.Variant = fmt.Sprintf("%d %s", alert.Place, alert.Says)
	return d
}

// refusal is why Slack would refuse it, as far as is known.
func (n *notifier) refusal(s incident.Scope, found state) *refusal {
	if n.closed != nil {
		return n.closed
	}
	if says, ok := n.refused[s]; ok && says == found.Says() {
		return &refusal{reason: events.ReasonAlertRefused, message: "Slack has refused this alert before."}
	}
	return nil
}

// fail says that Slack refuses an alert, once for each thing that there was to
// tell.
func (n *notifier) fail(ctx context.Context, found state, r *refusal) []events.Draft {
	if p, ok := found.Failed.Data.(*events.AlertFailed); ok && found.Failed.Stored == found.last && p.Event == found.EventID() {
		return nil
	}
	n.meters.refused(ctx, r.reason)
	// It may be found in a look at every incident: the line is of its own trace.
	n.log.ErrorContext(telemetry.Within(ctx, found.Event.Traceparent), "Slack refuses an alert", "application", found.Application, "kind", found.Kind, "reason", r.reason, "error", r)
	d := n.draft(found, &events.AlertFailed{Channel: n.cfg.Channel, Event: found.EventID(), Reason: r.reason, Message: r.message})
	d.Variant = fmt.Sprintf("%d %s", found.last, r.reason)
	return []events.Draft{d}
}

// draft is an event about an incident's alerts: it belongs to the trace of
// what the incident is about, and comes after the last one of its kind.
func (n *notifier) draft(found state, p events.Payload) events.Draft {
	at := found.Alert()
	filter := fmt.Sprintf("%s.alert.*.%s.%s.%s", events.Root, events.EncodeToken(at.Cluster), events.EncodeToken(at.Application), events.EncodeToken(at.Key))
	return events.Draft{
		Data: p, Address: at, Trace: found.Event.Traceparent, Correlation: found.Event.CorrelationID, Revision: orderOf(found.Incident),
		Expect: &events.Expectation{Filter: filter, Last: found.last},
	}
}
