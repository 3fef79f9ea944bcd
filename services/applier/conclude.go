// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// conclude says what a task has come to.
func (a *applier) conclude(ctx context.Context, t *task, inv Inventory, desired Desired, plan Plan, done *outcome) ([]events.Draft, error) {
	failures, err := a.failures(ctx, done)
	if err != nil {
		return nil, err
	}
	waits := waiting(done)
	for key := range t.app.forgotten {
		if _, ours := done.steps[key]; !ours {
			delete(t.app.forgotten, key)
		}
	}
	if len(failures) == 0 && t.app.retries >= blockedAfter {
		failures = blocked(waits)
	}
	t.app.mu.Lock()
	t.app.waits = waits
	t.app.mu.Unlock()
	counts, applied := tally(done, inv.Entries)
	t.app.expect(desired.Objects, inv.Fence.Applied && plan.Hold == nil && len(failures) == 0)
	var drafts []events.Draft
	changed := counts.Created+counts.Configured+counts.Adopted+counts.Pruned > 0
	if len(failures) == 0 && inv.Fence.Applied && (changed || done.advanced) {
		list, err := a.list(ctx, applied)
		if err != nil {
			return nil, err
		}
		drafts = append(drafts, a.draft(t, &events.ConvergenceApplied{Converging: t.said, Counts: counts, Objects: list, Requests: done.requests}))
		t.app.unsaid = false
		t.app.awaitHealth(t.about(), t.said, counts, time.Now().Add(t.m.Declaration.Converge.Timeout.Std()))
	}
	held, err := a.hold(ctx, t, plan)
	if err != nil {
		return nil, err
	}
	drafts = append(drafts, held...)
	if len(failures) > 0 || !plan.quiet() { // a moment's wait doesn't end what failed before it
		drafts = append(drafts, a.fail(t, failures)...)
	}
	a.again(t, plan, len(failures) > 0 || !inv.Fence.Applied && plan.Awaited == nil)
	a.await(ctx, t.app, plan)
	t.carry(inv, done)
	if len(drafts) == 0 && !inv.Fence.Applied && !t.told() {
		t.waits()
	}
	a.lookAtHealth(t.app.name)
	for other := range passedTo(plan) {
		a.poke(other)
	}
	if counts.Adopted > 0 { // it may be what they offer
		a.wake(func(awaited string) bool { return awaited == t.app.name })
	}
	return drafts, nil
}

// passedTo are the applications that something passes to, or is offered to now:
// they were refused it until now.
func passedTo(plan Plan) map[string]bool {
	to := map[string]bool{}
	for _, s := range plan.Steps {
		if s.Op == OpPass || s.Op == OpOffer && !s.Stands {
			to[s.To] = true
		}
	}
	return to
}

// waiting are the objects that are being deleted, and whose end something
// waits for.
func waiting(done *outcome) []events.Object {
	var objs []events.Object
	for _, key := range slices.Sorted(maps.Keys(done.steps)) {
		s, r := done.steps[key], done.results[key]
		if s.Op == OpWait || s.Op == OpDelete && !r.Gone && r.Err == nil {
			objs = append(objs, s.Object)
		}
	}
	return objs
}

// blockedAfter is how many attempts it takes until a blocked deletion is said.
const blockedAfter = 3

// blocked says that something keeps objects from being deleted.
func blocked(objs []events.Object) []failure {
	list := make([]failure, len(objs))
	for i, o := range objs {
		list[i] = failure{reason: events.ReasonDeletionBlocked, ObjectFailure: events.ObjectFailure{Object: o, Message: fmt.Sprintf(
			"%s is being deleted, and a finalizer keeps it; see metadata.finalizers of the object and the controller that is to remove them", o)}}
	}
	return list
}

// tally counts what was done and lists every object, with what is known of it.
func tally(done *outcome, entries map[string]Entry) (events.Counts, []events.AppliedObject) {
	var c events.Counts
	list := make([]events.AppliedObject, 0, len(done.steps))
	for _, key := range slices.Sorted(maps.Keys(done.steps)) {
		s, r := done.steps[key], done.results[key]
		e := entries[key]
		o := events.AppliedObject{Object: s.Object, Action: r.Action, Digest: e.Digest, UID: e.UID, Fields: e.Fields, ResourceVersion: r.ResourceVersion, Left: e.Left}
		switch s.Op {
		case OpHold:
			o.Action = events.ActionHeld
		case OpPass, OpOffer:
			o.Action = events.ActionPassed
		case OpOrphan:
			o.Action = events.ActionOrphaned
		case OpForget:
			if r.Action != events.ActionPruned { // by an earlier try, or while its deletion was waited for
				continue
			}
		}
		switch o.Action {
		case events.ActionCreated:
			c.Created++
		case events.ActionConfigured:
			c.Configured++
		case events.ActionAdopted:
			c.Adopted++
		case events.ActionPruned:
			c.Pruned++
		case "", events.ActionUnchanged:
			o.Action = events.ActionUnchanged
			if s.Target != nil {
				c.Unchanged++
			}
		}
		list = append(list, o)
	}
	slices.SortStableFunc(list, func(x, y events.AppliedObject) int { return compareApply(x.Object, y.Object) })
	return c, list
}

// list puts a list of objects into an event, or past its limit into a blob.
func (a *applier) list(ctx context.Context, items []events.AppliedObject) (events.AppliedObjects, error) {
	out := events.AppliedObjects{Count: len(items)}
	if len(items) <= events.MaxInline {
		out.Items = items
		return out, nil
	}
	data, err := json.Marshal(items)
	if err != nil {
		return out, fmt.Errorf("encode the list of objects: %w", err)
	}
	b, err := a.bus.Blobs().Put(ctx, "plumbline.blob.applier."+events.EncodeToken(a.cluster), data)
	if err != nil {
		return out, fmt.Errorf("store the list of objects: %w", err)
	}
	out.Blob = &b
	return out, nil
}

// hold says, once, what a guard holds.
func (a *applier) hold(ctx context.Context, t *task, plan Plan) ([]events.Draft, error) {
	if plan.quiet() {
		return nil, nil
	}
	if plan.Hold == nil {
		t.app.saidHold = ""
		return nil, nil
	}
	if t.app.saidHold == plan.Hold.Digest && t.cause != causeRevision {
		return nil, nil
	}
	list, err := a.list(ctx, listed(plan.Hold.Objects, events.ActionHeld))
	if err != nil {
		return nil, err
	}
	t.app.saidHold = plan.Hold.Digest
	return []events.Draft{a.draft(t, &events.ConvergenceHeld{
		Converging: t.said, Reason: plan.Hold.Reason,
		Message: plan.Hold.Message, Hold: plan.Hold.Digest, Objects: list,
	})}, nil
}

func listed(objs []events.Object, action events.Action) []events.AppliedObject {
	items := make([]events.AppliedObject, len(objs))
	for i, o := range objs {
		items[i] = events.AppliedObject{Object: o, Action: action}
	}
	return items
}

// again schedules the next attempt of what is not done.
func (a *applier) again(t *task, plan Plan, unfinished bool) {
	var soonest time.Time
	for _, s := range plan.Steps {
		if f := t.app.fights[s.Key()]; s.Op == OpKeep && f != nil && t.app.forgotten[s.Key()] && (soonest.IsZero() || f.until.Before(soonest)) {
			soonest = f.until
		}
	}
	switch {
	case unfinished:
		a.retry(t)
	case !soonest.IsZero():
		a.later(t.app.name, time.Until(soonest))
	}
	if !unfinished {
		t.app.retries = 0
	}
}

// retry has the application converged again, ever more rarely, counted from its
// newest revision. An attempt that something else brought forward, as a heal
// does, counts for nothing: a flood of them would put off the next for minutes.
func (a *applier) retry(t *task) {
	app := t.app
	app.mu.Lock()
	early := app.retries > 0 && time.Now().Before(app.retryAt)
	app.mu.Unlock()
	switch {
	case t.cause == causeRevision:
		app.retries = 1
	case !early:
		app.retries++
	}
	a.later(app.name, min(retryFirst<<min(app.retries-1, 10), retryMost))
}

const (
	retryFirst = 2 * time.Second
	retryMost  = 5 * time.Minute
)

// later converges an application again after a delay. Of several calls the
// soonest counts: what it is converged for then asks anew for what is left.
func (a *applier) later(name string, delay time.Duration) {
	app := a.application(name)
	app.mu.Lock()
	defer app.mu.Unlock()
	at := time.Now().Add(max(delay, 0))
	if !app.retryAt.IsZero() && !at.Before(app.retryAt) {
		return
	}
	if app.retry != nil {
		app.retry.Stop()
	}
	app.retryAt = at
	app.retry = time.AfterFunc(time.Until(at), func() {
		app.mu.Lock()
		if app.retryAt.Equal(at) {
			app.retryAt = time.Time{}
		}
		app.mu.Unlock()
		if a.ctx.Err() == nil {
			a.poke(name)
		}
	})
}

// poke converges an application to its level again, in its own queue.
func (a *applier) poke(name string) {
	a.resyncOne(name, events.Event{})
}
