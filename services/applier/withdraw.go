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

// planWithdrawal decides what becomes of the objects of a withdrawn
// application. Approved is the digest of what may go; labels says which
// application each live object's label names, claimed which other one declares
// it now.
func planWithdrawal(w withdrawal, live map[string]Live, labels, claimed map[string]string, approved string) Plan {
	plan := Plan{Application: w.Application, Digest: w.Fence.Digest}
	var going []events.Object
	for _, e := range sortedEntries(w.Entries) {
		l, exists := live[e.Key()]
		s := Step{Object: e.Object, Phase: phaseOf(e.Object), UID: l.UID, ResourceVersion: l.ResourceVersion}
		label := labels[e.Key()]
		switch {
		case !exists:
			s.Op, s.Why = OpForget, "it is gone"
		case label != "" && label != w.Application:
			s.Op, s.Why, s.To = OpPass, label+" declares it now", label
		case claimed[e.Key()] != "":
			s.Op, s.Why, s.To = OpPass, claimed[e.Key()]+" declares it now", claimed[e.Key()]
		case label == "":
			s.Op, s.Why = OpOrphan, "it no longer carries our label"
		case !w.Kept.Deletes():
			s.Op, s.Why = OpOrphan, "the application's policy keeps it"
			if w.Reason != "" { // else it would count no more against those that are deleted
				going = append(going, s.Object)
			}
		case l.Deleting:
			s.Op, s.Why = OpWait, "it is being deleted"
		default:
			s.Op, s.Why = OpDelete, "its application is no longer declared"
			going = append(going, s.Object)
		}
		plan.Steps = append(plan.Steps, s)
	}
	hold := holdDigest("withdrawn "+w.Application+" "+w.Fence.Digest, keysAsObjects(w.Entries))
	if len(going) == 0 || approved == hold {
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
		if plan.Steps[i].Op == OpDelete || plan.Steps[i].Op == OpOrphan && slices.Contains(going, plan.Steps[i].Object) {
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

func keysAsObjects(entries map[string]Entry) []events.Object {
	objs := make([]events.Object, 0, len(entries))
	for _, e := range entries {
		objs = append(objs, e.Object)
	}
	return objs
}

// withdrawAll queues the withdrawal of every application that the fleet no
// longer declares, each in its own queue.
func (a *applier) withdrawAll(f *fleetList) {
	for _, w := range decideWithdrawals(*f, a.inventories.all()) {
		app := a.application(w.Application)
		if !app.leaving.CompareAndSwap(false, true) {
			continue
		}
		a.consumer.Observe(w.Application, a.observation("withdraw", w.Application, f.event), func(ctx context.Context) ([]events.Draft, error) {
			app.leaving.Store(false)
			return a.withdraw(ctx, app, "")
		})
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
	if w.approved() {
		approved = w.holdOf()
	}
	claimed, _ := a.claimed(app.name, w.Entries)
	plan := planWithdrawal(w, live, labels, claimed, approved)
	if plan.Requests() > 0 && approved != w.holdOf() {
		open, standings, err := a.survey(ctx, f, app.name, claims{}, 0)
		if err != nil {
			return nil, err
		}
		for _, other := range open {
			if s := standings[other]; s.unknown != "" || s.stray {
				return a.awaitClaim(ctx, app, f, w, plan, other)
			}
		}
		claimed, _ = a.claimed(app.name, w.Entries)
		plan = planWithdrawal(w, live, labels, claimed, approved) // with what was learnt meanwhile
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
	app.retry = time.AfterFunc(min(retryFirst<<min(app.retries, 10), retryMost), func() {
		if a.ctx.Err() == nil {
			a.withdrawAll(f)
		}
	})
	app.retries++
	return app.retries
}

// approved says that an approval of the withdrawal was written down.
func (w withdrawal) approved() bool {
	hold := w.holdOf()
	for _, e := range w.Entries {
		if e.Released != hold {
			return false
		}
	}
	return len(w.Entries) > 0
}

// releaseAll marks everything as let go by an approval.
func (inv Inventory) releaseAll(digest string) Inventory {
	entries := maps.Clone(inv.Entries)
	for key, e := range entries {
		e.Released = digest
		entries[key] = e
	}
	inv.Entries = entries
	return inv
}

func (w withdrawal) holdOf() string {
	return holdDigest("withdrawn "+w.Application+" "+w.Fence.Digest, keysAsObjects(w.Entries))
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
	if plan.Requests() > 0 && !w.approved() {
		var err error
		if inv, err = a.inventories.write(ctx, inv.releaseAll(w.holdOf())); err != nil {
			return nil, err
		}
	}
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
	if a.withdrawLater(app, f) != blockedAfter {
		return nil, nil
	}
	return []events.Draft{a.withdrawn(ctx, app, f, &events.ApplicationWithdrawn{
		Outcome: events.ActionHeld,
		Reason:  events.ReasonDeletionBlocked, Message: cut(left[0]), Objects: list,
	})}, nil
}
