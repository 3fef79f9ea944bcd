// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// withdrawal is an inventory whose application a list lacks.
type withdrawal struct {
	Inventory
	Reason  events.Reason // why it is held; empty: it isn't
	Message string
}

// decideWithdrawals finds the inventories that a list lacks and holds them all
// where they are too many at once; those that only have to be said are no more
// than that. An inventory that knows a newer revision
// than the list stays. It is pure.
//
// A list of another life of the log proves nothing by itself: nothing is
// withdrawn by it before every application that it names, and that has an
// inventory, was compared in that life.
func decideWithdrawals(f fleetList, inventories []Inventory) []withdrawal {
	var gone, finished []withdrawal
	corroborated := true
	for _, inv := range inventories {
		sameLog := inv.Fence.Epoch == f.epoch
		if f.has(inv.Application) {
			corroborated = corroborated && (sameLog && inv.Fence.Compared || f.entries[inv.Application].Held || inv.Kept.Mode == events.ModeObserve)
			continue
		}
		if inv.Kept.Finished != nil {
			finished = append(finished, withdrawal{Inventory: inv})
			continue
		}
		if sameLog && inv.Fence.Sequence > f.stored || slices.Contains(inv.Fence.Retired, f.epoch) {
			continue
		}
		gone = append(gone, withdrawal{Inventory: inv})
	}
	reason, message := guardFleet(len(inventories)-len(finished), len(gone))
	kept := gone[:0]
	for _, w := range gone {
		if w.Fence.Epoch != f.epoch && !corroborated {
			continue
		}
		w.Reason, w.Message = reason, message
		kept = append(kept, w)
	}
	return append(kept, finished...)
}

// withdrawalPolicy is what a withdrawal heeds beside what is there.
type withdrawalPolicy struct {
	labels    map[string]string // the application that each live object's label names
	claimed   map[string]string // the other application that declares an object now
	observers map[string]bool   // applications that write nothing
	approved  string            // digest of what may go
}

// planWithdrawal decides what becomes of the objects of a withdrawn
// application. What would be deleted and another one declares is kept until
// that one has taken it: it may never be able to, and no longer declare it.
func planWithdrawal(w withdrawal, live map[string]Live, policy withdrawalPolicy) Plan {
	plan := Plan{Application: w.Application, Digest: w.Fence.Digest}
	var going []events.Object // and not let go yet
	hold := w.holdOf()
	for _, e := range sortedEntries(w.Entries) {
		l, exists := live[e.Key()]
		s := Step{Object: e.Object, Phase: phaseOf(e.Object), UID: l.UID, ResourceVersion: l.ResourceVersion}
		label, to := policy.labels[e.Key()], policy.claimed[e.Key()]
		released := policy.approved == hold || w.released(e)
		switch {
		case !exists:
			s.Op, s.Why = OpForget, "it is gone"
		case label != "" && label != w.Application:
			s.Op, s.Why, s.To = OpPass, label+" declares it now", label
		case to != "" && label == w.Application && w.Kept.Deletes() && !policy.observers[to]:
			s.Op, s.Why, s.To = OpOffer, to+" declares it now, and hasn't taken it yet", to
		case to != "":
			s.Op, s.Why, s.To = OpPass, to+" declares it now", to
		case label == "":
			s.Op, s.Why = OpOrphan, "it no longer carries our label"
		case !w.Kept.Deletes():
			s.Op, s.Why = OpOrphan, "the application's policy keeps it"
			if w.Reason != "" && !released { // else it would count no more against those that are deleted
				going = append(going, s.Object)
			}
		case l.Deleting:
			s.Op, s.Why = OpWait, "it is being deleted"
		default:
			s.Op, s.Why = OpDelete, "its application is no longer declared"
			if !released {
				going = append(going, s.Object)
			}
		}
		plan.Steps = append(plan.Steps, s)
	}
	if len(going) == 0 {
		return plan
	}
	reason, message := w.Reason, w.Message
	if reason == "" {
		reason, message = guardPrune(0, going)
	}
	if reason == "" && w.Kept.Withheld {
		reason, message = events.ReasonWithdrawalGuard, "its withdrawal was held before. Approve it, or declare the application again"
	}
	if reason == "" {
		return plan
	}
	for i := range plan.Steps {
		if s := plan.Steps[i]; (s.Op == OpDelete || s.Op == OpOrphan) && slices.Contains(going, s.Object) {
			plan.Steps[i].Op, plan.Steps[i].Why = OpHold, string(reason)
		}
	}
	plan.Hold = &Hold{Digest: hold, Reason: reason, Message: message, Objects: going}
	return plan
}

func sortedEntries(entries map[string]Entry) []Entry {
	list := make([]Entry, 0, len(entries))
	for _, e := range entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Entry) int { return -compareApply(a.Object, b.Object) })
	return list
}

// mark is what says of an object of the inventory that its withdrawal was let
// go.
func (w withdrawal) mark() string {
	return holdDigest("withdrawn "+w.Application+" "+w.Fence.Digest, nil)
}

func (w withdrawal) released(e Entry) bool { return e.Released == w.mark() }

// holdOf is the digest under which people let go of all that isn't yet.
func (w withdrawal) holdOf() string {
	var objs []events.Object
	for _, e := range w.Entries {
		if !w.released(e) {
			objs = append(objs, e.Object)
		}
	}
	return holdDigest("withdrawn "+w.Application+" "+w.Fence.Digest, objs)
}

// unreleased says that a plan deletes what wasn't let go yet.
func (w withdrawal) unreleased(plan Plan) bool {
	return slices.ContainsFunc(plan.Steps, func(s Step) bool { return s.Op == OpDelete && !w.released(w.Entries[s.Key()]) })
}

// release marks what a plan lets go, so that no guard stands before the rest
// of it: all but what is offered to another application.
func (w withdrawal) release(plan Plan) Inventory {
	inv, mark := w.Inventory, w.mark()
	inv.Entries = maps.Clone(inv.Entries)
	for _, s := range plan.Steps {
		if e := inv.Entries[s.Key()]; s.Op != OpOffer {
			e.Released = mark
			inv.Entries[s.Key()] = e
		}
	}
	inv.Kept.Withheld = false
	return inv
}

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
		return drafts, outage(a.cluster, err)
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
	if w.unreleased(plan) && approved != w.holdOf() {
		open, standings, err := a.survey(ctx, f, app.name, claims{}, 0)
		if err != nil {
			return nil, err
		}
		for _, other := range open {
			if s := standings[other]; s.unknown != "" || s.stray {
				return a.awaitClaim(ctx, app, f, w, plan, other)
			}
		}
		policy.claimed, policy.observers = a.claimed(app.name, w.Entries)
		plan = planWithdrawal(w, live, policy) // with what was learnt meanwhile
	}
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

// awaitClaim puts a withdrawal off until it is known what another application
// declares: a renamed one declares the same objects, and they are not deleted
// to be created anew. If it takes long, that is said.
func (a *applier) awaitClaim(ctx context.Context, app *application, f *fleetList, w withdrawal, plan Plan, other string) ([]events.Draft, error) {
	if a.withdrawLater(app, f) < blockedAfter {
		return nil, nil
	}
	plan.Hold = &Hold{Digest: w.holdOf(), Reason: events.ReasonWithdrawalGuard, Message: fmt.Sprintf(
		"it is not known yet what the application %s declares: objects of %s may pass to it. See why it isn't rendered, or approve",
		other, app.name)}
	for _, s := range plan.Steps {
		if s.Op == OpDelete {
			plan.Hold.Objects = append(plan.Hold.Objects, s.Object)
		}
	}
	return a.holdWithdrawal(ctx, app, f, plan)
}

// withdrawLater tries a withdrawal again after a while, and returns how often
// that was asked.
func (a *applier) withdrawLater(app *application, f *fleetList) int {
	app.mu.Lock()
	defer app.mu.Unlock()
	if app.retry != nil {
		app.retry.Stop()
	}
	app.retryAt = time.Time{}
	app.retry = time.AfterFunc(min(retryFirst<<min(app.retries, 10), retryMost), func() {
		if a.ctx.Err() == nil {
			a.withdrawAll(f)
		}
	})
	app.retries++
	return app.retries
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
			left = append(left, r.Err.Error())
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
	if a.withdrawLater(app, f) < blockedAfter || app.saidHold == message {
		return nil, nil
	}
	app.saidHold = message
	return []events.Draft{a.withdrawn(ctx, app, f, &events.ApplicationWithdrawn{
		Outcome: events.ActionHeld,
		Reason:  events.ReasonDeletionBlocked, Message: message, Objects: list,
	})}, nil
}
