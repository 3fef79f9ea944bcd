// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// withdrawAll queues the withdrawal of every application that the fleet no
// longer declares, each in its own queue.
func (a *applier) withdrawAll(f *fleetList) {
	for _, w := range decideWithdrawals(*f, a.inventories.all()) {
		a.withdrawOne(w.Application, f)
	}
}

func (a *applier) withdrawOne(name string, f *fleetList) {
	app := a.application(name)
	if !app.leaving.CompareAndSwap(false, true) {
		return
	}
	a.consumer.Observe(name, a.observation("withdraw", name, f.event), func(ctx context.Context) ([]events.Draft, error) {
		app.leaving.Store(false)
		return a.withdraw(ctx, app, "")
	})
}

// awaitTaker has a withdrawal looked at again when the application that its
// objects are offered to is converged.
func (a *applier) awaitTaker(app *application, plan Plan) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if to := plan.offered(); to != "" {
		a.waiting[app.name] = to
	} else {
		delete(a.waiting, app.name)
	}
}

// withdraw carries out the withdrawal of one application, if the newest list
// still lacks it.
func (a *applier) withdraw(ctx context.Context, app *application, approved string) ([]events.Draft, error) {
	for race := 0; ; race++ {
		drafts, err := a.withdrawOnce(ctx, app, approved)
		if errors.Is(err, errInventoryChanged) && race < raceLimit {
			continue
		}
		return drafts, a.blame(ctx, app, err)
	}
}

func (a *applier) withdrawOnce(ctx context.Context, app *application, approved string) ([]events.Draft, error) {
	f, err := a.learnFleet(ctx)
	if err != nil || f == nil {
		return nil, err
	}
	list := decideWithdrawals(*f, a.inventories.all())
	i := slices.IndexFunc(list, func(w withdrawal) bool { return w.Application == app.name })
	if i < 0 {
		app.stays()
		return nil, nil
	}
	w := list[i]
	if w.Kept.Finished != nil {
		return a.sayWithdrawn(ctx, app, f, w.Inventory)
	}
	if err := a.watchEntries(ctx, w.Inventory); err != nil {
		return nil, err
	}
	live, labels, err := a.seeWithdrawn(ctx, w.Inventory)
	if err != nil {
		return nil, err
	}
	policy := withdrawalPolicy{labels: labels, approved: approved}
	policy.claimed, policy.observers = a.claimed(app.name, w.Entries)
	plan := planWithdrawal(w, live, policy)
	if w.waits(approved) {
		return a.putOff(ctx, app, f, w, plan, fmt.Sprintf(
			"the log was begun anew, and the application %s was not compared with the cluster since: until it is, a list that lacks %s proves little. See why it doesn't converge, or approve",
			w.Unproven, app.name))
	}
	if w.unreleased(plan) && approved != w.holdOf() {
		open, standings, err := a.survey(ctx, f, app.name, claims{}, 0)
		if err != nil {
			return nil, err
		}
		for _, other := range open {
			if s := standings[other]; s.unknown != "" || s.stray {
				return a.putOff(ctx, app, f, w, plan, fmt.Sprintf(
					"it is not known yet what the application %s declares: objects of %s may pass to it. See why it isn't rendered, or approve", other, app.name))
			}
		}
		policy.claimed, policy.observers = a.claimed(app.name, w.Entries)
		plan = planWithdrawal(w, live, policy) // with what was learnt meanwhile
	}
	app.putOffSince = time.Time{}
	if plan.Hold != nil {
		if !w.Kept.Withheld {
			w.Kept.Withheld = true
			if _, err := a.inventories.write(ctx, w.Inventory); err != nil {
				return nil, err
			}
		}
		return a.holdWithdrawal(ctx, app, f, plan)
	}
	return a.finishWithdrawal(ctx, app, f, w, plan)
}

// putOff puts a withdrawal off until it is known what another application
// declares, as a renamed one declares the same objects, and they are not deleted
// to be created anew; or until it was compared in this life of the log. If it
// takes long, that is said.
func (a *applier) putOff(ctx context.Context, app *application, f *fleetList, w withdrawal, plan Plan, why string) ([]events.Draft, error) {
	if app.putOffSince.IsZero() {
		app.putOffSince = bus.Now(ctx)
	}
	waited := bus.Now(ctx).Sub(app.putOffSince)
	a.withdrawIn(app, f, min(max(awaitFirst, waited/2), retryMost))
	if waited < a.patience {
		return nil, nil
	}
	plan.Hold = &Hold{Digest: w.holdOf(), Reason: events.ReasonWithdrawalGuard, Message: why}
	for _, s := range plan.Steps {
		if s.Op == OpDelete {
			plan.Hold.Objects = append(plan.Hold.Objects, s.Object)
		}
	}
	return a.holdWithdrawal(ctx, app, f, plan)
}

// stays says that an application is not being withdrawn, or no longer: what its
// withdrawal waited counts for no other, and its tries for nothing else.
func (app *application) stays() {
	if !app.withdrawAt.IsZero() {
		app.retries = 0
	}
	app.withdrawAt, app.putOffSince = time.Time{}, time.Time{}
}

// withdrawAgain tries a withdrawal that is blocked again after a while, ever more
// rarely, and returns how often it was tried. A try that something else brought
// forward, as each list and each sync does, counts for nothing.
func (a *applier) withdrawAgain(app *application, f *fleetList) int {
	now := time.Now()
	if app.withdrawAt.IsZero() {
		app.retries = 0 // those of its convergence
	}
	if !now.Before(app.withdrawAt) {
		app.retries++
		app.withdrawAt = now.Add(min(retryFirst<<min(app.retries-1, 10), retryMost))
	}
	a.withdrawIn(app, f, app.withdrawAt.Sub(now))
	return app.retries
}

// withdrawIn tries a withdrawal again after a delay.
func (a *applier) withdrawIn(app *application, f *fleetList, delay time.Duration) {
	app.mu.Lock()
	defer app.mu.Unlock()
	if app.retry != nil {
		app.retry.Stop()
	}
	app.retryAt = time.Time{}
	app.retry = time.AfterFunc(delay, func() {
		if a.ctx.Err() == nil {
			a.withdrawAll(f)
		}
	})
}

// seeWithdrawn returns what is left of an inventory, and the application that
// each object's label names.
func (a *applier) seeWithdrawn(ctx context.Context, inv Inventory) (map[string]Live, map[string]string, error) {
	live, labels := map[string]Live{}, map[string]string{}
	for key, e := range inv.Entries {
		s, ok := a.observer.get(e.Object)
		if !ok {
			var err error
			if s, ok, err = a.look(ctx, e.Object); err != nil {
				return nil, nil, err
			}
		}
		if ok {
			live[key], labels[key] = s.Live, s.Application
		}
	}
	return live, labels, nil
}

// holdWithdrawal says, once, that a withdrawal waits for an approval.
func (a *applier) holdWithdrawal(ctx context.Context, app *application, f *fleetList, plan Plan) ([]events.Draft, error) {
	if app.saidHold == plan.Hold.Digest {
		return nil, nil
	}
	last, err := a.lastWithdrawn(ctx, app.name)
	if err != nil {
		return nil, err
	}
	if p, ok := last.Data.(*events.ApplicationWithdrawn); ok && p.Hold == plan.Hold.Digest {
		app.saidHold = plan.Hold.Digest
		return nil, nil
	}
	list, err := a.list(ctx, listed(plan.Hold.Objects, events.ActionHeld))
	if err != nil {
		return nil, err
	}
	app.saidHold = plan.Hold.Digest
	return []events.Draft{a.withdrawn(ctx, app, f, &events.ApplicationWithdrawn{
		Outcome: events.ActionHeld,
		Reason:  plan.Hold.Reason, Message: plan.Hold.Message, Hold: plan.Hold.Digest, Objects: list,
	})}, nil
}

func (a *applier) withdrawn(ctx context.Context, app *application, f *fleetList, p *events.ApplicationWithdrawn) events.Draft {
	p.Fleet, p.Since = f.commit, f.event.Time
	if p.Since.IsZero() {
		p.Since = bus.Now(ctx)
	}
	return events.Draft{Data: p, Address: a.address(app.name), Trace: f.event.Traceparent}
}

// finishWithdrawal deletes or lets go of the objects, and then of the
// inventory. What doesn't go yet stays in it, and is tried again.
func (a *applier) finishWithdrawal(ctx context.Context, app *application, f *fleetList, w withdrawal, plan Plan) ([]events.Draft, error) {
	inv := w.Inventory
	if w.unreleased(plan) {
		var err error
		if inv, err = a.inventories.write(ctx, w.release(plan)); err != nil {
			return nil, err
		}
	}
	a.awaitTaker(app, plan)
	r := &run{applier: a, application: app.name, inventory: inv, confirmed: time.Now()}
	if err := r.carryOut(ctx, plan); err != nil {
		return nil, err
	}
	items, left := withdrawnItems(plan, r.results)
	list, err := a.list(ctx, items)
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		return a.blockedWithdrawal(ctx, app, f, left, list)
	}
	outcome := events.ActionPruned
	if !w.Kept.Deletes() {
		outcome = events.ActionOrphaned
	}
	if len(items) > 0 && !slices.ContainsFunc(items, func(o events.AppliedObject) bool { return o.Action != events.ActionPassed }) {
		outcome = events.ActionPassed
	}
	if inv, err = a.finish(ctx, inv, &events.ApplicationWithdrawn{Outcome: outcome, Objects: list}); err != nil {
		return nil, err
	}
	return a.sayWithdrawn(ctx, app, f, inv)
}

// withdrawnItems lists what became of each object, and the messages of those
// that are still there.
func withdrawnItems(plan Plan, results map[string]Result) ([]events.AppliedObject, []string) {
	var items []events.AppliedObject
	var left []string
	for _, s := range plan.Steps {
		r := results[s.Key()]
		o := events.AppliedObject{Object: s.Object, UID: s.UID}
		switch {
		case s.Op == OpPass:
			o.Action = events.ActionPassed
		case s.Op == OpOrphan:
			o.Action = events.ActionOrphaned
		case s.Op == OpOffer:
			o.Action = events.ActionHeld
			left = append(left, fmt.Sprintf("%s isn't deleted, as the application %s declares it, and that one hasn't taken it over yet: see why it doesn't converge, or remove it there", s.Object, s.To))
		case s.Op == OpForget, r.Gone:
			o.Action = events.ActionPruned
		case r.Err != nil:
			o.Action = events.ActionHeld
			message := r.Err.Error()
			if t := new(trouble); errors.As(r.Err, &t) {
				message = t.Message
			}
			left = append(left, message)
		default:
			o.Action = events.ActionHeld
			left = append(left, s.Object.String()+" is being deleted; a finalizer may keep it")
		}
		items = append(items, o)
	}
	return items, left
}

// blockedWithdrawal says, once, that a withdrawal can't end yet.
func (a *applier) blockedWithdrawal(ctx context.Context, app *application, f *fleetList, left []string, list events.AppliedObjects) ([]events.Draft, error) {
	message := cut(left[0])
	if a.withdrawAgain(app, f) < blockedAfter || app.saidHold == message {
		return nil, nil
	}
	app.saidHold = message
	return []events.Draft{a.withdrawn(ctx, app, f, &events.ApplicationWithdrawn{
		Outcome: events.ActionHeld,
		Reason:  events.ReasonDeletionBlocked, Message: message, Objects: list,
	})}, nil
}
