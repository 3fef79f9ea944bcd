// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"fmt"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// Awaited is an application that what would be deleted may be about to pass
// to: it isn't known what it declares now.
type Awaited struct {
	Application string
	Why         string // for people
	// Said says that it takes long, or that no end is in sight: people are
	// told, and may decide.
	Said bool
}

const (
	// awaitPatience is how long a deletion waits for another application
	// without a word: most often that application's revision of the same
	// commit is being rendered.
	awaitPatience = 20 * time.Second
	awaitFirst    = 2 * time.Second
	// awaitOutcome is how long it waits, beyond the moment, for the render of
	// an application that doesn't get the same commits: longer than any render
	// may take.
	awaitOutcome = 10 * time.Minute
)

// awaited returns the application that the deletions of a task have to wait
// for; nil: it is known of all others what they declare.
//
// An application that doesn't render is waited for only by those that get the
// same commits: the commit that moves an object to it may be the one that
// broke it. For the others the claims of its last good bundle count. Those that
// were never rendered are no different, see [standing.holds].
func (a *applier) awaited(ctx context.Context, t *task) (*Awaited, error) {
	f, err := a.learnFleet(ctx)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return a.patiently(ctx, t, &Awaited{Why: "the fleet's list is not known yet: see whether the watcher reads the fleet"}), nil
	}
	mine := claimsOf(t)
	var need uint64
	if t.cause == causeRevision {
		need = t.event.Stored
	}
	open, standings, err := a.survey(ctx, f, t.app.name, mine, need)
	if err != nil {
		return nil, err
	}
	var failing string
	var waited time.Duration
	if !t.app.since.IsZero() {
		waited = bus.Now(ctx).Sub(t.app.since)
	}
	for _, name := range open {
		s := standings[name]
		switch {
		case s.holds(mine.line, waited, a.patience, bus.Now(ctx)):
			return a.patiently(ctx, t, &Awaited{Application: name, Why: s.unknown}), nil
		case s.failing && s.line == mine.line && failing == "":
			failing = name
		}
	}
	if failing == "" {
		return nil, nil
	}
	return &Awaited{Application: failing, Said: true, Why: "it gets the same commits, and its newest one doesn't render: mend it"}, nil
}

// patiently has a wait said only where it takes long.
func (a *applier) patiently(ctx context.Context, t *task, w *Awaited) *Awaited {
	if t.app.since.IsZero() {
		t.app.since = bus.Now(ctx)
	}
	w.Said = bus.Now(ctx).Sub(t.app.since) >= a.patience
	return w
}

// describe says what is waited for, and the way out.
func (w *Awaited) describe(going []events.Object) string {
	what := "the deletion of " + objects(len(going), "waits", "waits")
	if w.Application == "" {
		return what + ": " + w.Why + ", or approve"
	}
	return fmt.Sprintf("%s: it is not known what the application %s declares now, and it may take over what is deleted here (%s). It goes on by itself when that is known; or approve",
		what, w.Application, w.Why)
}

// await notes what an application waits for, and looks again after a while:
// the longer it has waited, the rarer.
func (a *applier) await(ctx context.Context, app *application, plan Plan) {
	a.mu.Lock()
	switch {
	case plan.Awaited != nil:
		a.waiting[app.name] = plan.Awaited.Application
	case plan.offered() != "":
		a.waiting[app.name] = plan.offered()
	default:
		delete(a.waiting, app.name)
	}
	a.mu.Unlock()
	if plan.Awaited == nil {
		app.since = time.Time{}
		return
	}
	if app.since.IsZero() {
		app.since = bus.Now(ctx)
	}
	a.later(app.name, min(max(awaitFirst, bus.Now(ctx).Sub(app.since)/2), retryMost))
}

// passing says that all that is refused is about to pass to this application:
// its owner's newest revision no longer declares it, or the owner's revision of
// the same commit is not known yet. Then it is looked at again soon, and after
// a while that counts as refused.
func (a *applier) passing(ctx context.Context, t *task, refused []Refusal) bool {
	mine := claimsOf(t)
	left := map[string]bool{} // owners that only have to look
	for _, r := range refused {
		if r.Owner == "" {
			return false
		}
		owner := a.application(r.Owner)
		owner.mu.Lock()
		theirs := owner.claims
		owner.mu.Unlock()
		behind := theirs.line == mine.line && theirs.commit != mine.commit && theirs.at.Sequence < mine.at.Sequence
		if theirs.keys != nil && theirs.keys[r.Key()] && !behind {
			return false
		}
		left[r.Owner] = !behind
	}
	if t.app.since.IsZero() {
		t.app.since = bus.Now(ctx)
	}
	if bus.Now(ctx).Sub(t.app.since) >= a.patience {
		return false
	}
	a.mu.Lock()
	a.waiting[t.app.name] = refused[0].Owner
	a.mu.Unlock()
	for owner, look := range left {
		if look {
			a.poke(owner)
		}
	}
	a.later(t.app.name, awaitFirst)
	return true
}

// wake looks again at the applications that wait for one that is picked.
func (a *applier) wake(picked func(awaited string) bool) {
	var names []string
	a.mu.Lock()
	for name, awaited := range a.waiting {
		if picked(awaited) {
			names = append(names, name)
		}
	}
	f := a.fleet
	a.mu.Unlock()
	for _, name := range names {
		if f != nil && !f.has(name) {
			a.withdrawOne(name, f)
		} else {
			a.poke(name)
		}
	}
}
