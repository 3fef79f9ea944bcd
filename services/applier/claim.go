// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// claims are the objects that an application declares, as far as that is
// known, and the revision that says so.
type claims struct {
	keys        map[string]bool // of objects; nil: nothing is known
	observes    bool            // the application writes none of them
	at          events.Order
	line        line
	commit      string
	declaration string // digest
	digest      string // of the bundle
	// checked is the place in the log up to which no newer revision of the
	// application was observed.
	checked uint64
}

// line is what revisions follow one another on. The applications of one line
// get each commit at once: an object may move between them in a single commit.
type line struct{ repository, ref string }

func lineOf(d events.Declaration, r events.Revision) line { return line{d.Source.Repository, r.Ref} }

// claimsOf is the revision of a task.
func claimsOf(t *task) claims {
	return claims{at: order(t.event), line: lineOf(t.m.Declaration, t.m.Revision), commit: t.m.Revision.Commit}
}

// claimsBy are the claims that a bundle makes.
func claimsBy(e events.Event, keys map[string]bool) claims {
	m := manifestsOf(e)
	return claims{
		keys: keys, at: order(e), line: lineOf(m.Declaration, m.Revision), commit: m.Revision.Commit,
		declaration: m.DeclarationDigest, digest: m.Digest, observes: m.Declaration.Converge.Mode == events.ModeObserve,
	}
}

// claim remembers what an application declares, for the others to know, and
// wakes those that waited for it.
func (a *applier) claim(app *application, e events.Event, keys map[string]bool) {
	app.mu.Lock()
	if was := app.claims; was.keys == nil || was.at.Epoch != e.Epoch || was.at.Sequence <= e.Sequence {
		a.claimants.change(app.name, was.keys, keys)
		app.claims = claimsBy(e, keys)
	}
	app.mu.Unlock()
	a.wake(func(awaited string) bool { return awaited == app.name })
}

// retract takes back what an application declares by a revision that waited, for
// what another one has, and was superseded before it was applied: by one that
// doesn't render, say. What it stands at counts again, so that nobody offers it
// what it won't take.
func (a *applier) retract(t *task, inv Inventory) {
	app, stands := t.app, claims{}
	if e := app.current; e != nil && e.Epoch == inv.Fence.Epoch && e.Sequence == inv.Fence.Sequence {
		stands = claimsBy(*e, inv.declared())
	}
	app.mu.Lock()
	was := app.claims
	waits := was.keys != nil && was.at == order(t.event) && was.at != (events.Order{Epoch: inv.Fence.Epoch, Sequence: inv.Fence.Sequence})
	if waits {
		a.claimants.change(app.name, was.keys, stands.keys)
		app.claims = stands
	}
	app.mu.Unlock()
	if waits {
		a.wake(func(awaited string) bool { return awaited == app.name })
	}
}

func keysOf(targets []Target) map[string]bool {
	keys := make(map[string]bool, len(targets))
	for _, t := range targets {
		keys[t.Key()] = true
	}
	return keys
}

// claimConverged remembers what an application declares that has converged to
// this bundle before: what its inventory holds, but for what leaves.
func (a *applier) claimConverged(app *application, e events.Event, inv Inventory) {
	app.mu.Lock()
	keys := app.claims.keys
	if app.claims.digest != manifestsOf(e).Digest || app.claims.declaration != manifestsOf(e).DeclarationDigest {
		keys = nil
	}
	app.mu.Unlock()
	if keys == nil {
		keys = inv.declared()
	}
	a.claim(app, e, keys)
}

// declared are the objects that an application declares that has converged to
// this inventory: what it holds, but for what leaves.
func (inv Inventory) declared() map[string]bool {
	keys := make(map[string]bool, len(inv.Entries))
	for key, e := range inv.Entries {
		keys[key] = !e.Held
	}
	return keys
}

// claimed returns which of an application's objects another declared
// application declares, and which of those write nothing. Where several
// declare one, it is the one that it is offered to already, or the first.
func (a *applier) claimed(name string, entries map[string]Entry) (claimed map[string]string, observers map[string]bool) {
	claimed, observers = map[string]string{}, map[string]bool{}
	for _, other := range a.claimants.of(entries, name) {
		a.mu.Lock()
		app, known := a.applications[other]
		known = known && (a.fleet == nil || a.fleet.has(other))
		a.mu.Unlock() // before theirs: who holds one of those may ask for this one
		if !known {
			continue
		}
		app.mu.Lock()
		observers[other] = app.claims.observes
		for key, e := range entries {
			if app.claims.keys[key] && (claimed[key] == "" || e.Offered == other) {
				claimed[key] = other
			}
		}
		app.mu.Unlock()
	}
	return claimed, observers
}

// taken says that another application claims something that an inventory holds
// although its application no longer declares it: behind a guard, or because
// prune is off.
func (a *applier) taken(app *application, inv Inventory) bool {
	left := map[string]Entry{}
	app.mu.Lock()
	c := app.claims
	for key, e := range inv.Entries {
		if e.Held || c.keys != nil && c.digest == inv.Fence.Digest && !c.keys[key] {
			left[key] = e
		}
	}
	app.mu.Unlock()
	if len(left) == 0 { // as most often: the others are not gone through
		return false
	}
	claimed, _ := a.claimed(app.name, left)
	return len(claimed) > 0
}

// known says whether claims are those of the application's newest revision,
// for all that this process remembers. Mine is the revision that wants to
// delete, need the place in the log up to which others have to be known.
func (c claims) known(entry events.FleetEntry, mine claims, epoch string, need uint64) bool {
	switch {
	case c.keys == nil, c.at.Epoch != epoch, entry.DeclarationDigest == "":
		return false
	case c.declaration != entry.DeclarationDigest && !entry.Held:
		return false
	case c.line == mine.line:
		return c.commit == mine.commit || c.at.Sequence > mine.at.Sequence
	}
	return max(c.at.Sequence, c.checked) >= need
}

// standing is what the log says of an application whose claims aren't known by
// what is remembered.
type standing struct {
	unknown string // why it isn't known yet what it declares; empty: it is known
	failing bool   // its newest revision doesn't render
	// stray says that even its last good bundle isn't known.
	stray bool
	line  line // zero: the list doesn't say
	// invalid says that its declaration was never valid, nor was it rendered.
	invalid bool
	// observed says that a revision of its declaration is in the log: there
	// will be an outcome. Since is when that was observed, or else since when
	// the list is known to declare it so.
	observed bool
	since    time.Time
}

// holds says whether an application of which it isn't known what it declares
// holds what another one would delete, which waited for a while now.
//
// One that gets the same commits does, until it is known. Any other may take
// over what was let go in an earlier commit, of another repository: it holds
// for as long as its render may take, where its revision was observed, and for
// a moment after it was declared, where that isn't. So nobody waits for ever
// for an application that has nothing in common with theirs.
func (s standing) holds(mine line, waited, patience time.Duration, now time.Time) bool {
	switch {
	case s.unknown == "" || s.invalid:
		return false
	case s.line == mine || s.line == line{}:
		return true
	case s.observed:
		return min(waited, now.Sub(s.since)) < awaitOutcome
	}
	return now.Sub(s.since) < patience
}

// inquire asks the log whether an application has a revision that isn't
// rendered, or not looked at here. Last is the log's last place, known before
// anything else of this was read.
func (a *applier) inquire(ctx context.Context, name string, f *fleetList, mine claims, log bus.Log) (standing, error) {
	entry := f.entries[name]
	s := standing{line: line{entry.Repository, entry.Ref}, since: f.since[name]}
	e, err := a.bus.Last(ctx, typeObserved.Subject(a.address(name)))
	if err != nil && !errors.Is(err, bus.ErrNone) {
		return s, err
	}
	p, ok := e.Data.(*events.CommitObserved)
	if ok && entry.DeclarationDigest == "" { // held, and the watcher has forgotten what it declared
		s.line = lineOf(p.Declaration, p.Revision)
	}
	switch {
	case !ok && entry.DeclarationDigest == "":
		s.unknown, s.invalid = "its declaration was never valid: see fleet.rejected", true
		return s, nil
	case !ok:
		s.unknown = "no revision of it was observed yet: see whether its repository can be read and its branch is there"
		return s, nil
	case e.Epoch != log.Epoch:
		s.unknown = "no revision of it was observed yet in this life of the log"
		return s, nil
	case p.DeclarationDigest != entry.DeclarationDigest && !entry.Held:
		s.unknown = "it is declared anew, and no revision of it was observed since"
		return s, nil
	}
	s.line, s.observed, s.since = lineOf(p.Declaration, p.Revision), true, e.Time
	if s.line == mine.line && p.Revision.Commit != mine.commit && e.Sequence < mine.at.Sequence {
		s.unknown = "its revision of this commit was not observed yet"
		return s, nil
	}
	if a.checked(name, order(e), log.Last) {
		return s, nil
	}
	failed, err := a.bus.Last(ctx, typeFailed.Subject(a.address(name)))
	if err != nil && !errors.Is(err, bus.ErrNone) {
		return s, err
	}
	if err != nil || failed.Epoch != e.Epoch || failed.Sequence < e.Sequence {
		s.unknown = "its newest revision is not rendered yet, or not looked at"
		return s, nil
	}
	s.failing = true
	s.stray, err = a.strays(ctx, name)
	return s, err
}

// checked notes that claims were those of the newest revision at a place in
// the log, if they are.
func (a *applier) checked(name string, newest events.Order, at uint64) bool {
	app := a.application(name)
	app.mu.Lock()
	defer app.mu.Unlock()
	if app.claims.keys == nil || app.claims.at != newest {
		return false
	}
	app.claims.checked = max(app.claims.checked, at)
	return true
}

// strays says that the claims of an application that doesn't render are not
// those of its last good bundle.
func (a *applier) strays(ctx context.Context, name string) (bool, error) {
	good, err := a.level(ctx, name)
	if errors.Is(err, bus.ErrNone) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	app := a.application(name)
	app.mu.Lock()
	defer app.mu.Unlock()
	return app.claims.keys == nil || app.claims.digest != manifestsOf(good).Digest, nil
}

// inquiries is how many applications are asked about at once.
const inquiries = 32

// survey returns, of the applications of a list but one, those of which it
// isn't known what their newest revision declares, in the order in which they
// are to be waited for: the one that the log tells of last comes first, since
// the others are most often known by then.
//
// It costs nothing for those that have the commit of mine already, or a later
// revision, or that were asked about since the place that is needed.
func (a *applier) survey(ctx context.Context, f *fleetList, self string, mine claims, need uint64) ([]string, map[string]standing, error) {
	a.surveying.Lock() // who waits here is most often answered by the one before
	defer a.surveying.Unlock()
	log, err := a.bus.Log(ctx)
	if err != nil {
		return nil, nil, err
	}
	if need == 0 {
		need = log.Last
	}
	var open []string
	for name, entry := range f.entries {
		app := a.application(name)
		app.mu.Lock()
		if name != self && !app.claims.known(entry, mine, log.Epoch, need) {
			open = append(open, name)
		}
		app.mu.Unlock()
	}
	slices.Sort(open)
	slices.Reverse(open)
	answers := make([]standing, len(open))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inquiries)
	for i, name := range open {
		group.Go(bus.Guard(func() (err error) {
			answers[i], err = a.inquire(ctx, name, f, mine, log)
			return err
		}))
	}
	if err := group.Wait(); err != nil {
		return nil, nil, fmt.Errorf("ask what the other applications declare: %w", err)
	}
	standings := map[string]standing{}
	kept := open[:0]
	for i, name := range open {
		if s := answers[i]; s.unknown != "" || s.failing {
			standings[name] = s
			kept = append(kept, name)
		}
	}
	return kept, standings, nil
}
