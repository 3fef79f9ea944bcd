// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/fault"
)

// What made a convergence run: events.Converging.Cause.
const (
	causeRevision = "revision"
	causeHeal     = "heal"
	causeResync   = "resync"
	causeApproval = "approval"
)

// task is one convergence: what to converge to, and why.
type task struct {
	app   *application
	event events.Event // manifests.rendered or manifests.unchanged
	m     *events.Manifests
	cause string
	hold  string // the digest of what an approval lets go
	trace string // traceparent of what is said of it

	admission Admission
	said      events.Converging
	asked     bool // the log, what was said of the application
	raced     bool // another applier has written the inventory meanwhile
	moved     bool // the fence moves for it, or did for the one that it goes on with
}

func (a *applier) newTask(app *application, e events.Event, cause string) *task {
	m := manifestsOf(e)
	return &task{
		app: app, event: e, m: m, cause: cause, trace: e.Traceparent,
		said: events.Converging{Revision: m.Revision, Digest: m.Digest, Cause: cause},
	}
}

// about is the event that this convergence is of, in its trace.
func (t *task) about() events.Event {
	e := t.event
	e.Traceparent = t.trace
	return e
}

// draft is an event of this convergence: of its revision, whatever caused it.
func (a *applier) draft(t *task, p events.Payload) events.Draft {
	d := events.Draft{Data: p, Address: a.address(t.app.name), Revision: order(t.event), Trace: t.trace}
	if t.cause != causeHeal { // which is told of its divergence
		d.Correlation = t.event.CorrelationID
	}
	return d
}

// raceLimit is how often one input is decided anew because another applier
// has written the inventory meanwhile.
const raceLimit = 5

// converge drives one application to the bundle of an event.
func (a *applier) converge(ctx context.Context, t *task) ([]events.Draft, error) {
	if t.m.Declaration.Converge.Mode == events.ModeObserve {
		return nil, a.blame(ctx, t.app, a.onlyObserve(ctx, t))
	}
	for race := 0; ; race++ {
		drafts, err := a.convergeOnce(ctx, t)
		if err != nil {
			// What was written may have taken effect all the same, and nothing
			// was said of it: the log knows what was.
			t.app.recalled, t.app.logged = false, logged{}
		}
		if errors.Is(err, errInventoryChanged) && race < raceLimit {
			t.raced = true
			continue
		}
		switch reason, message, terminal := fault.AsTerminal(err); {
		case errors.Is(err, errLacking):
			drafts, err = a.lacking(t), nil
		case terminal && t.cause != causeRevision: // the level is at fault, and nobody's message
			drafts, err = a.failWhole(t, events.Reason(reason), message), nil
		}
		err = a.blame(ctx, t.app, err)
		if refused := new(trouble); errors.As(err, &refused) { // of no object, but of them all
			if err := a.ready(ctx); err != nil {
				return nil, err
			}
			a.again(t, Plan{}, true)
			return a.fail(t, []failure{{
				ObjectFailure: events.ObjectFailure{APIReason: refused.APIReason, Message: refused.Message},
				reason:        refused.Reason, passing: refused.Passing,
			}}), nil
		}
		if err == nil {
			drafts = a.overtake(t, drafts)
		}
		a.timeFailures(ctx, t, drafts)
		if len(drafts) > 0 {
			t.app.recalled = false // what became of them is told by then, see settled
		}
		return drafts, err
	}
}

// onlyObserve writes nothing of an application in mode observe. An inventory
// from a time in which it was written learns that: its objects stay if the
// application is withdrawn now.
func (a *applier) onlyObserve(ctx context.Context, t *task) error {
	if !a.withdrawnBy(t.app.name, t.event) {
		t.app.stays()
	}
	inv, found := a.inventories.get(t.app.name)
	if kept := keptPolicy(t.m.Declaration); found && inv.Kept != kept {
		inv.Kept = kept
		if _, err := a.inventories.write(ctx, inv); err != nil {
			return err
		}
	}
	return a.claimObserved(ctx, t)
}

// claimObserved remembers what an application in mode observe declares: what
// it takes over from another one stays, although it isn't written.
func (a *applier) claimObserved(ctx context.Context, t *task) error {
	log, err := a.bus.Log(ctx)
	if err != nil || t.event.Epoch != log.Epoch {
		return err
	}
	bundle, err := a.load(ctx, t.m)
	if _, _, terminal := fault.AsTerminal(err); terminal {
		a.log.WarnContext(ctx, "it is not known what an application in mode observe declares", "application", t.app.name, "error", err)
		return nil // the event is at fault, and nothing is published of it
	}
	if err != nil {
		return err
	}
	desired, _, err := a.desire(ctx, t.app.name, order(t.event), t.m, bundle)
	if err != nil {
		return err
	}
	a.claim(t.app, t.event, keysOf(desired.Objects))
	return nil
}

func (a *applier) convergeOnce(ctx context.Context, t *task) ([]events.Draft, error) {
	inv, found := a.inventories.get(t.app.name)
	if nothing, err := a.nothingToDo(ctx, t, inv); err != nil || nothing {
		return nil, err
	}
	superseded, err := a.admit(ctx, t, inv)
	if superseded && t.admission.By == inv.Fence.Sequence {
		err = a.bearWitness(ctx, inv.Fence)
	}
	if err != nil {
		return nil, err
	}
	if superseded {
		a.retract(t, inv)
		if t.waited() || t.cause == causeRevision {
			return []events.Draft{a.draft(t, &events.ConvergenceSuperseded{Converging: t.said, By: t.admission.By})}, nil
		}
		return nil, nil
	}
	t.app.stays()
	if err := a.recall(ctx, t, inv); err != nil {
		return nil, err
	}
	if err := a.watchEntries(ctx, inv); err != nil {
		return nil, err
	}
	ctx, requests := count(ctx)
	bundle, err := a.load(ctx, t.m)
	if err != nil {
		return nil, err
	}
	desired, refused, err := a.desire(ctx, t.app.name, order(t.event), t.m, bundle)
	if err != nil {
		return nil, err
	}
	a.claim(t.app, t.event, keysOf(desired.Objects))
	if len(refused) > 0 {
		return a.refuse(ctx, t, refused)
	}
	if err := a.watchAll(ctx, objectsOf(desired.Objects)); err != nil {
		return nil, err
	}
	if !found {
		if inv, err = a.rebuild(ctx, inv, desired); err != nil {
			return nil, err
		}
	}
	return a.drive(ctx, t, inv, desired, func() int { return int(requests.Load()) })
}

func objectsOf(targets []Target) []events.Object {
	objs := make([]events.Object, len(targets))
	for i, t := range targets {
		objs[i] = t.Object
	}
	return objs
}

// admit asks the fence and the log whether a revision is still to be applied.
func (a *applier) admit(ctx context.Context, t *task, inv Inventory) (superseded bool, err error) {
	log, err := a.bus.Log(ctx)
	if err != nil {
		return false, err
	}
	var newest events.Order
	if subjects := a.rivals(ctx, t, inv); len(subjects) > 0 {
		if newest, err = a.bus.Newest(ctx, t.event, subjects...); err != nil {
			return false, err
		}
	}
	if a.knownFleet() == nil {
		if _, err := a.learnFleet(ctx); err != nil {
			return false, err
		}
	}
	t.admission = inv.Fence.Admit(order(t.event), log.Epoch, newest)
	if t.admission.OK && a.withdrawnBy(t.app.name, t.event) {
		t.admission = Admission{By: a.fleetStored()}
	}
	return !t.admission.OK, nil
}

// rivals are the subjects on which a revision newer than the task's may lie, and
// would supersede it: none where it keeps what is applied. Of bundles, which come
// in this very queue, the first attempt knows whether there is one behind its own;
// a failure to render is asked for.
//
// In a new life of the log, what the fence stands at is said again where the
// newest commit can't be rendered, and that commit after it. Its failure is no
// reason to leave the fence in a life in which no divergence is answered.
func (a *applier) rivals(ctx context.Context, t *task, inv Inventory) []string {
	if t.stands(inv) {
		return nil
	}
	var subjects []string
	address := a.address(t.app.name)
	if t.cause != causeRevision || t.raced || !bus.Latest(ctx) {
		subjects = append(subjects, typeRendered.Subject(address), typeUnchanged.Subject(address))
	}
	f := inv.Fence
	if known := f.Epoch != "" && f.Epoch != t.event.Epoch && f.Digest == t.m.Digest && f.Declaration == t.m.DeclarationDigest; !known {
		subjects = append(subjects, typeFailed.Subject(address))
	}
	return subjects
}

// stands says that a task leads to where the fence stands: it keeps what is
// applied, and brings no revision.
//
// A later revision of the same bundle and declaration, by which the fence
// didn't move, leads there too: while the revision after it doesn't render,
// what is applied is kept all the same.
func (t *task) stands(inv Inventory) bool {
	f := inv.Fence
	return t.cause != causeRevision && t.event.Epoch == f.Epoch && t.event.Sequence >= f.Sequence &&
		t.m.Digest == f.Digest && t.m.DeclarationDigest == f.Declaration
}

// watchEntries makes sure that everything of an inventory is watched.
func (a *applier) watchEntries(ctx context.Context, inv Inventory) error {
	objs := make([]events.Object, 0, len(inv.Entries))
	for _, e := range inv.Entries {
		objs = append(objs, e.Object)
	}
	return a.watchAll(ctx, objs)
}

// expectEntries expects what the inventory holds, as of an application that
// has converged.
func (app *application) expectEntries(inv Inventory) {
	var expected []events.Object
	complete := true
	for _, e := range inv.Entries {
		if e.Held {
			complete = false
			continue
		}
		expected = append(expected, e.Object)
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	app.expected, app.complete = expected, complete
}
