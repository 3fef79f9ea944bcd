// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"maps"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/failpoint"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// drive decides and acts, and once more where the first time was the full
// compare without which nothing is pruned.
func (a *applier) drive(ctx context.Context, t *task, inv Inventory, desired Desired, requests func() int) (drafts []events.Draft, err error) {
	done := t.carried()
	done.moved = done.moved || t.moves(inv.Fence)
	t.moved = done.moved
	before := done.requests
	defer func() {
		if err != nil { // nothing is said of it
			done.requests = before + requests()
			t.keep(&done)
		}
	}()
	for pass := 0; ; pass++ {
		live, plan, approved, err := a.consider(ctx, t, inv, desired)
		if err != nil {
			return nil, err
		}
		inv = approved
		if len(plan.Refused) > 0 {
			if a.passing(ctx, t, plan.Refused) {
				t.waits()
				return nil, nil
			}
			return a.refuse(ctx, t, plan.Refused)
		}
		a.log.DebugContext(ctx, "decided", "application", t.app.name, "cause", t.cause, "plan", plan)
		if inv, err = a.execute(ctx, t, inv, desired, plan, live, &done); err != nil {
			return nil, err
		}
		// Each write had the one before as its precondition: nobody else has
		// written it since recall looked at it.
		t.app.logged.inventory = inv.ResourceVersion
		t.app.current = &t.event
		if !plan.Locked || !inv.Fence.Compared || pass > 0 {
			done.requests = before + requests()
			return a.conclude(ctx, t, inv, desired, plan, &done)
		}
	}
}

// consider sees what is there and makes the plan.
func (a *applier) consider(ctx context.Context, t *task, inv Inventory, desired Desired) (live map[string]Live, plan Plan, approved Inventory, err error) {
	ctx, span := telemetry.Start(ctx, "plan", attribute.String("plumbline.cause", t.cause))
	defer func() {
		span.SetAttributes(attribute.Int("plumbline.objects", len(plan.Steps)), attribute.Int("plumbline.writes", plan.Requests()))
		telemetry.End(span, err, why(err))
	}()
	if live, err = a.see(ctx, desired, inv); err != nil {
		return nil, plan, inv, err
	}
	plan, approved, err = a.plan(ctx, t, inv, desired, live)
	return live, plan, approved, err
}

// plan decides, and returns the inventory with what an approval lets go. Only
// where something would be deleted is it asked what the others declare, and
// then before it is looked at what they claim.
func (a *applier) plan(ctx context.Context, t *task, inv Inventory, desired Desired, live map[string]Live) (Plan, Inventory, error) {
	policy := Policy{Prune: t.m.Declaration.Converge.Prune, Heal: t.m.Declaration.Audit.Heal}
	policy.Claimed, policy.Observers = a.claimed(t.app.name, inv.Entries)
	asked, approved := false, t.hold == ""
	for {
		plan := decide(desired, live, a.recollect(t.app, inv), policy, bus.Now(ctx))
		switch {
		case !approved && plan.Hold != nil && plan.Hold.Digest == t.hold:
			approved = true
			inv = inv.release(plan, desired.Digest)
		case !asked && plan.deletes():
			asked = true
			var err error
			if policy.Awaited, err = a.awaited(ctx, t); err != nil {
				return plan, inv, err
			}
			policy.Claimed, policy.Observers = a.claimed(t.app.name, inv.Entries)
		default:
			return plan, inv, nil
		}
	}
}

// recollect is what the decision knows of the past.
func (a *applier) recollect(app *application, inv Inventory) Memory {
	memory := inv.memory()
	memory.Forgotten = app.forgotten
	memory.Contended = map[string]time.Time{}
	for key, f := range app.fights {
		memory.Contended[key] = f.until
	}
	if app.doubt.Load() {
		memory.Fence.Compared = false
		memory.Entries = make(map[string]Entry, len(inv.Entries))
		for key, e := range inv.Entries {
			e.Fields = ""
			memory.Entries[key] = e
		}
	}
	return memory
}

// outcome gathers what a task has done, over its passes.
type outcome struct {
	advanced bool // the fence
	moved    bool // the fence, to another bundle or declaration
	results  map[string]Result
	steps    map[string]Step
	requests int
}

// then is what two tries of one revision have done to an object. One that finds
// everything in order writes nothing, and has nothing to say of the write before it.
func (r Result) then(next Result) Result {
	switch {
	case next.Err != nil:
	case next.Action == events.ActionUnchanged && r.Action != "" && r.Action != events.ActionPruned:
		return r
	case next.Action == events.ActionConfigured && (r.Action == events.ActionCreated || r.Action == events.ActionAdopted):
		next.Action = r.Action
	}
	return next
}

// carry keeps what was done of a revision that is not applied yet, because something
// fails, waits, or is still on its way out, for the event that says all of it in the
// end.
func (t *task) carry(inv Inventory, done *outcome) {
	if inv.Fence.Applied {
		t.app.carried, t.app.carriedOf = outcome{}, events.Event{}
		return
	}
	t.keep(done)
}

// keep keeps what was done of the task's revision, and not said.
func (t *task) keep(done *outcome) {
	maps.DeleteFunc(done.results, func(_ string, r Result) bool { return r.Err != nil })
	maps.DeleteFunc(done.steps, func(_ string, s Step) bool { return s.Target != nil }) // which the next plan has again
	t.app.carried, t.app.carriedOf, t.app.carriedAfter = *done, t.event, t.app.logged.appliedAt()
}

// carried is what was done of the task's revision already, unless another applier
// has come to the end of it meanwhile and told what it did, and what that one or a
// revision that is overtaken had begun to delete. What was on its way out may have
// gone, and be in no plan any more.
func (t *task) carried() outcome {
	of := t.app.carriedOf
	if of.Epoch != t.event.Epoch || of.Sequence > t.event.Sequence {
		return outcome{}
	}
	was := t.app.carried
	done := outcome{results: maps.Clone(was.results), steps: maps.Clone(was.steps)}
	if t.continues() {
		done.advanced, done.moved, done.requests = was.advanced, was.moved, was.requests
	} else {
		maps.DeleteFunc(done.results, func(_ string, r Result) bool { return r.Action != events.ActionPruned })
		maps.DeleteFunc(done.steps, func(key string, _ Step) bool { return done.results[key].Action == "" })
	}
	for key, s := range done.steps {
		if s.Target == nil && (s.Op == OpDelete || s.Op == OpWait) {
			s.Op = OpForget
			done.steps[key] = s
		}
	}
	return done
}

// continues says that the task goes on with what is carried, and that nothing was
// told as applied since.
func (t *task) continues() bool {
	return t.goesOnWith(t.app.carriedOf) && t.app.logged.appliedAt() == t.app.carriedAfter
}

// untold says that a try of the task's revision has written something, and that an
// error ended it before that was said.
func (t *task) untold() bool {
	if !t.continues() {
		return false
	}
	for _, r := range t.app.carried.results {
		if r.Action != "" && r.Action != events.ActionUnchanged {
			return true
		}
	}
	return false
}

// moves says that the fence moves for the task's revision.
func (t *task) moves(f Fence) bool {
	return t.m.Digest != f.Digest || t.m.DeclarationDigest != f.Declaration || t.event.Epoch != f.Epoch || t.recovers(f)
}

// goesOnWith says that the task is of an event's revision, or of a later one that
// changes nothing of its bundle.
func (t *task) goesOnWith(e events.Event) bool {
	if order(e) == order(t.event) {
		return true
	}
	m := manifestsOf(e)
	later := e.Epoch == t.event.Epoch && e.Sequence < t.event.Sequence
	return later && t.event.Type == typeUnchanged && m != nil && m.Digest == t.m.Digest && m.DeclarationDigest == t.m.DeclarationDigest
}

// execute carries one plan out, between the two writes of the inventory.
func (a *applier) execute(ctx context.Context, t *task, inv Inventory, desired Desired, plan Plan, live map[string]Live, done *outcome) (Inventory, error) {
	moves := t.moves(inv.Fence)
	if done.results == nil {
		done.results, done.steps = map[string]Result{}, map[string]Step{}
	}
	// What was begun before is not said yet, and the end of a failure is news.
	done.advanced = done.advanced || moves || !inv.Fence.Applied || t.app.unsaid || t.app.saidFailure != ""
	for _, s := range plan.Steps {
		done.steps[s.Key()] = s
	}
	if plan.Settled() && t.hold == "" && !moves && inv.Fence.Applied && (inv.Fence.Compared || plan.Locked) && !a.marksDiffer(inv, plan) &&
		inv.Kept == keptPolicy(t.m.Declaration) {
		return a.recordCompared(ctx, inv, plan)
	}
	wide := inv.Widen(desired, plan, keptPolicy(t.m.Declaration))
	if t.app.doubt.Load() {
		wide.Fence.Compared = false
	}
	r := &run{applier: a, application: t.app.name}
	if plan.Requests() > 0 { // else one write says it all
		if err := failpoint.Hit(failpoint.ApplierBeforeWiden); err != nil {
			return inv, err
		}
		var err error
		if wide, err = a.raise(ctx, inv, wide, plan, moves); err != nil {
			return inv, err
		}
		if err := a.makeNamespace(ctx, t.m.Declaration, plan, live); err != nil {
			return wide, err
		}
	}
	if err := failpoint.Hit(failpoint.ApplierBeforeApply); err != nil {
		return wide, err
	}
	r.inventory, r.confirmed = wide, time.Now()
	err := r.carryOutTraced(ctx, plan)
	for key, result := range r.results {
		done.results[key] = done.results[key].then(result)
	}
	if err != nil {
		return wide, err
	}
	if plan.Requests() > 0 {
		bus.Yield(ctx) // what others wait for in the cluster comes before what is written down of this
	}
	if err := a.watchAll(ctx, objectsOf(desired.Objects)); err != nil {
		return wide, err
	}
	if err := failpoint.Hit(failpoint.ApplierBeforeNarrow); err != nil {
		return wide, err
	}
	settled := wide.Settle(plan, r.results)
	if !settled.equal(inv) || plan.Requests() == 0 {
		var err error
		if settled, err = a.inventories.write(ctx, settled); err != nil {
			return wide, err
		}
	}
	for key, result := range r.results {
		if result.Err == nil && result.Action != events.ActionUnchanged {
			delete(t.app.forgotten, key)
		}
	}
	if settled.Fence.Compared {
		t.app.doubt.Store(false)
	}
	return settled, nil
}

// raise writes the widened inventory before the first write of a plan. Where it
// would say nothing that isn't there, as before most heals, it is read instead:
// the fence is seen to be ours, and who dies in between leaves what the next one
// finds in the objects themselves. A fence that doesn't move stays at the
// revision that it was raised for.
func (a *applier) raise(ctx context.Context, inv, wide Inventory, plan Plan, moves bool) (Inventory, error) {
	begun := wide
	begun.Fence = inv.Fence
	begun.Fence.Compared = wide.Fence.Compared
	if moves || plan.deletes() || !inv.Fence.Applied || inv.ResourceVersion == "" || !begun.equal(inv) {
		return a.inventories.write(ctx, wide)
	}
	return begun, a.inventories.confirm(ctx, inv)
}

// recordCompared writes down that a full compare has found everything in
// order, where that is news.
func (a *applier) recordCompared(ctx context.Context, inv Inventory, plan Plan) (Inventory, error) {
	if inv.Fence.Compared || !plan.Locked {
		return inv, nil
	}
	inv.Fence.Compared = true
	return a.inventories.write(ctx, inv)
}

// marksDiffer says that a guard holds something that isn't marked so yet, or
// that something is marked which is declared again, or no longer offered.
func (a *applier) marksDiffer(inv Inventory, plan Plan) bool {
	for _, s := range plan.Steps {
		e := inv.Entries[s.Key()]
		if s.Op == OpHold && !e.Held && plan.Awaited == nil || e.Awaiting != awaits(s, plan) || e.Offered != "" && s.Op != OpOffer || s.Op == OpOffer && !s.Stands || s.Target != nil && (e.Held || e.Released != "") {
			return true
		}
	}
	return false
}

// makeNamespace creates the application's namespace where its declaration asks
// for that and nothing shows that it is there. It is no object of the bundle:
// it is not in the inventory and never pruned.
func (a *applier) makeNamespace(ctx context.Context, d events.Declaration, plan Plan, live map[string]Live) error {
	if !d.CreateNamespace || d.Namespace == "" || len(a.reach()) > 0 { // one that we are held to is there
		return nil
	}
	needed := false
	for _, s := range plan.Steps {
		if s.Kind == "Namespace" && s.Group == "" && s.Name == d.Namespace && s.Target != nil {
			return nil
		}
		if s.Namespace != d.Namespace {
			continue
		}
		if _, there := live[s.Key()]; there {
			return nil
		}
		needed = needed || s.Op == OpCreate
	}
	if !needed {
		return nil
	}
	if err := createNamespace(ctx, a.inventories.client, d.Namespace); err != nil {
		return explain(events.Object{Version: "v1", Kind: "Namespace", Name: d.Namespace}, err)
	}
	return nil
}

// release marks what an approval of a plan's hold lets go.
func (inv Inventory) release(plan Plan, digest string) Inventory {
	entries := maps.Clone(inv.Entries)
	for _, o := range plan.Hold.Objects {
		e := entries[o.Key()]
		e.Object = o
		if plan.Awaited != nil {
			e.Waived = digest
		} else {
			e.Released = digest
		}
		entries[o.Key()] = e
	}
	inv.Entries = entries
	return inv
}
