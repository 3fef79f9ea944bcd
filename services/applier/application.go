// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// application is what is remembered of one application between its inputs.
// All of it can be lost: the inventory, the log and Git hold the rest. But
// for what is guarded by mu, only the application's own queue touches it.
type application struct {
	name  string
	doubt atomic.Bool // nothing that is remembered of its objects counts
	// asked and leaving say that a look at its level, or at its withdrawal,
	// waits in its queue: one is enough.
	asked, leaving atomic.Bool
	anew           atomic.Bool // nothing that is remembered of the log counts

	// current is the event that the fence stands at; nil: not known yet.
	current   *events.Event
	forgotten map[string]bool
	fights    map[string]*fight
	// saidFailure and saidHold are what was published last, so that a retry
	// that meets the same is quiet; saidFailure of the revision failedOf.
	saidFailure string
	failedOf    events.Order
	hiding      string // the failure of the last try that may pass, and is not said yet
	saidHold    string
	retries     int
	withdrawAt  time.Time // when its withdrawal, which is blocked, is tried again; zero: it isn't
	putOffSince time.Time // when it began that its withdrawal is put off; zero: it isn't
	alone       int       // how often in a row it alone got no answer of the API server
	since       time.Time // when it began that its deletions wait for another application; zero: they don't
	// carried is what was done of the revision carriedOf, and not said yet: of what
	// is applied the log told last at carriedAfter.
	carried      outcome
	carriedOf    events.Event
	carriedAfter uint64
	logged       logged
	open         []*open // revisions that wait without a word
	recalled     bool    // the last events were looked at, and nothing was said since
	telling      bool    // the end of its withdrawal was to be published
	unsaid       bool    // convergence.applied of what the fence stands at

	mu       sync.Mutex
	claims   claims
	health   healthState
	complete bool // nothing is held, failed or left to apply
	expected []events.Object
	about    events.Event // what health events go on with
	// waitsFrom is when the wait for health began that no span tells of yet.
	waitsFrom time.Time
	said      events.Converging
	counts    events.Counts
	pending   bool            // a health event is being published
	waits     []events.Object // what is being deleted and stands in the way
	look      *time.Timer     // when its health is looked at although nothing changed
	retry     *time.Timer     // when it is converged, or withdrawn, again
	retryAt   time.Time       // when retry converges it; zero: it doesn't
}

// open is a revision that waits for another application, most often for a
// moment only, and of which nothing is said meanwhile.
type open struct {
	*task
	by string // what it was said to be overtaken by; empty: nothing yet
}

// waits remembers that nothing is said of the task's revision yet.
func (t *task) waits() {
	t.app.open = slices.DeleteFunc(t.app.open, func(o *open) bool { return order(o.event) == order(t.event) })
	t.app.open = append(t.app.open, &open{task: t})
}

// waited says that the task's revision waited without a word, and takes it off
// what waits.
func (t *task) waited() bool {
	before := len(t.app.open)
	t.app.open = slices.DeleteFunc(t.app.open, func(o *open) bool { return order(o.event) == order(t.event) })
	return len(t.app.open) < before
}

// overtake says of revisions that waited without a word that a newer one was
// taken up instead. Called again because it could not be published, it says
// it again.
func (a *applier) overtake(t *task, drafts []events.Draft) []events.Draft {
	if !t.admission.OK {
		return drafts
	}
	by := fmt.Sprint(order(t.event), t.cause)
	var said []events.Draft
	t.app.open = slices.DeleteFunc(t.app.open, func(o *open) bool {
		switch {
		case o.event.Epoch != t.event.Epoch: // lost with its log
			return true
		case o.told(): // another applier has come to the end of it
			return true
		case o.event.Sequence == t.event.Sequence:
			return len(drafts) > 0
		case o.event.Sequence > t.event.Sequence:
			return false
		case o.by != "" && o.by != by: // that was published: others are at work now
			return true
		}
		o.by = by
		d := a.draft(o.task, &events.ConvergenceSuperseded{Converging: o.said, By: t.event.Sequence})
		d.Variant = strconv.FormatUint(o.event.Sequence, 10)
		said = append(said, d)
		return false
	})
	return append(said, drafts...)
}

// manifestsOf returns the payload of manifests.rendered and .unchanged.
func manifestsOf(e events.Event) *events.Manifests {
	switch p := e.Data.(type) {
	case *events.ManifestsRendered:
		return &p.Manifests
	case *events.ManifestsUnchanged:
		return &p.Manifests
	}
	return nil
}

func order(e events.Event) events.Order {
	return events.Order{Epoch: e.Epoch, Sequence: e.Sequence}
}

func typeOf(p events.Payload) *events.Type { return events.TypeOf(p) }

var (
	typeRendered  = typeOf(&events.ManifestsRendered{})
	typeUnchanged = typeOf(&events.ManifestsUnchanged{})
	typeFailed    = typeOf(&events.RenderFailed{})
	typeObserved  = typeOf(&events.CommitObserved{})
	typeFleet     = typeOf(&events.FleetObserved{})
)

// level reads the newest bundle of an application from the log. Its error
// wraps bus.ErrNone where there is none.
func (a *applier) level(ctx context.Context, name string) (events.Event, error) {
	log, err := a.bus.Log(ctx)
	if err != nil {
		return events.Event{}, err
	}
	last, err := a.bus.LastOfEach(ctx, typeRendered.Subject(a.address(name)), typeUnchanged.Subject(a.address(name)))
	if err != nil {
		return events.Event{}, err
	}
	var newest events.Event
	for _, e := range last {
		switch {
		case e.Type == nil:
		case newest.Data == nil, e.Epoch == log.Epoch && newest.Epoch != log.Epoch:
			newest = e
		case e.Epoch == newest.Epoch && e.Sequence > newest.Sequence:
			newest = e
		}
	}
	if newest.Data == nil {
		return newest, fmt.Errorf("the manifests of %s: %w", name, bus.ErrNone)
	}
	return newest, nil
}

// recall knows what was said of a task's application: before this process began,
// or by its last work. So nothing is said twice, nothing is left unsaid although
// the process died, or could not publish, after it had written the inventory,
// and a wait for health goes on.
func (a *applier) recall(ctx context.Context, t *task, inv Inventory) error {
	app, fence := t.app, inv.Fence
	asked, err := a.read(ctx, t, inv)
	if err != nil || app.recalled && !asked {
		return err
	}
	last := app.logged.last
	app.recalled, app.saidHold = true, ""
	if held, ok := last["held"].Data.(*events.ConvergenceHeld); ok && last["held"].Stored > last["applied"].Stored {
		app.saidHold = held.Hold
	}
	newest := max(last["applied"].Stored, last["completed"].Stored, last["failed"].Stored, last["degraded"].Stored)
	app.saidFailure, app.failedOf = "", events.Order{}
	if failed, ok := last["failed"].Data.(*events.ConvergenceFailed); ok && last["failed"].Stored == newest {
		app.saidFailure, app.failedOf = fingerprint(failed), order(last["failed"])
	}
	applied, ok := last["applied"].Data.(*events.ConvergenceApplied)
	// What is said of a revision that leads to what is applied already, as after
	// one that couldn't be rendered, is of its sequence alone.
	app.unsaid = fence.Applied && (!ok || last["applied"].Epoch != fence.Epoch || last["applied"].Sequence < fence.Sequence || applied.Digest != fence.Digest)
	if !ok {
		return nil
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	app.about, app.said, app.counts = last["applied"], applied.Converging, applied.Counts
	app.health = healthState{Phase: healthWaiting, Deadline: last["applied"].Time.Add(t.m.Declaration.Converge.Timeout.Std())}
	if app.waitsFrom.IsZero() {
		app.waitsFrom = last["applied"].Time
	}
	failure, _ := last["failed"].Data.(*events.ConvergenceFailed)
	switch {
	case newest == last["completed"].Stored:
		app.health = healthState{Phase: healthReached}
	case newest == last["degraded"].Stored:
		app.health = healthState{Phase: healthLost}
	case newest == last["failed"].Stored && failure.Reason == events.ReasonUnhealthy:
		app.health = healthState{Phase: healthTimedOut}
	case newest == last["failed"].Stored: // if that is over, it is said
		app.health, app.unsaid = healthState{}, fence.Applied
	}
	if app.health.Phase != healthWaiting {
		app.waitsFrom = time.Time{}
	}
	return nil
}

// awaitHealth begins the wait for health after a bundle was applied.
func (app *application) awaitHealth(about events.Event, said events.Converging, counts events.Counts, deadline time.Time) {
	app.mu.Lock()
	defer app.mu.Unlock()
	app.about, app.said, app.counts = about, said, counts
	app.health = healthState{Phase: healthWaiting, Deadline: deadline}
	app.waitsFrom = time.Now()
}

// expect sets what should be there, and whether that is all.
func (app *application) expect(targets []Target, complete bool) {
	expected := make([]events.Object, len(targets))
	for i, t := range targets {
		expected[i] = t.Object
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	app.expected, app.complete = expected, complete
}
