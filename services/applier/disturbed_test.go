// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// standingStill is an application that has converged: nothing of it was
// touched since.
type standingStill struct {
	task    task
	inv     Inventory
	applier applier
	seen    sighting
}

func newStandingStill() *standingStill {
	e := accepted(configMap("a"))
	m := &events.Manifests{Digest: "bundle", DeclarationDigest: "decl", Declaration: events.Declaration{Converge: events.Convergence{Prune: true}}}
	s := &standingStill{
		inv: Inventory{
			Application: app, Kept: keptPolicy(m.Declaration), Entries: map[string]Entry{e.Key(): e},
			Fence: Fence{Epoch: "e", Sequence: 4, Digest: "bundle", Declaration: "decl", Applied: true, Compared: true},
		},
		seen: sighting{Object: e.Object, Application: app, Live: Live{UID: e.UID, Owner: app, Digest: e.Digest, Fields: e.Fields}},
	}
	s.applier.applications = map[string]*application{}
	s.applier.waiting = map[string]string{}
	s.task = task{
		app: s.applier.application(app), m: m, cause: causeResync,
		event: events.Event{Type: typeUnchanged, Epoch: "e", Sequence: 5},
	}
	return s
}

// undisturbed asks with what the watch has seen; sees: it has seen the object.
func (s *standingStill) undisturbed(sees bool) bool {
	s.applier.observer = &observer{root: context.Background(), kinds: map[watchScope]*kindWatch{}}
	scope := s.applier.observer.scope(s.seen.Object)
	w := newKindWatch(scope, func(string, string) {}, func() {})
	if sees {
		w.seen[s.seen.Object.Key()] = s.seen
	}
	s.applier.observer.kinds[scope] = w
	return s.applier.undisturbed(&s.task, s.inv)
}

// Nothing is asked and nothing is sent only where nothing at all is other than
// it was when the application had converged.
func TestWhateverIsOtherThanItWasDisturbs(t *testing.T) {
	t.Parallel()
	if !newStandingStill().undisturbed(true) {
		t.Fatal("it stands still")
	}
	if newStandingStill().undisturbed(false) {
		t.Error("the object is gone: undisturbed")
	}
	entry := func(change func(*Entry)) func(*standingStill) {
		return func(s *standingStill) {
			for key, e := range s.inv.Entries {
				change(&e)
				s.inv.Entries[key] = e
			}
		}
	}
	for name, disturb := range map[string]func(*standingStill){
		"deleted and made again":            func(s *standingStill) { s.seen.UID = "anew" },
		"a field of ours was taken":         func(s *standingStill) { s.seen.Fields = "shrunk" },
		"managedFields were wiped":          func(s *standingStill) { s.seen.Fields = "" },
		"another version was applied":       func(s *standingStill) { s.seen.Digest = "v0" },
		"it is being deleted":               func(s *standingStill) { s.seen.Deleting = true },
		"its label is another's":            func(s *standingStill) { s.seen.Application = "other" },
		"its label is gone":                 func(s *standingStill) { s.seen.Application = "" },
		"what was written is not known":     entry(func(e *Entry) { e.UID = "" }),
		"its entry is not known":            func(s *standingStill) { entry(func(e *Entry) { e.Fields = "" })(s); s.seen.Fields = "" },
		"neither uid is known":              func(s *standingStill) { entry(func(e *Entry) { e.UID = "" })(s); s.seen.UID = "" },
		"a release waits to be used":        entry(func(e *Entry) { e.Released = "bundle" }),
		"it waits for another":              entry(func(e *Entry) { e.Awaiting = true }),
		"it is offered":                     entry(func(e *Entry) { e.Offered = "other" }),
		"it is held, and that is not said":  entry(func(e *Entry) { e.Held = true }),
		"the bundle is not all applied":     func(s *standingStill) { s.inv.Fence.Applied = false },
		"it was not compared":               func(s *standingStill) { s.inv.Fence.Compared = false },
		"another life of the log":           func(s *standingStill) { s.inv.Fence.Epoch = "d" },
		"another bundle":                    func(s *standingStill) { s.inv.Fence.Digest = "v0" },
		"another declaration":               func(s *standingStill) { s.inv.Fence.Declaration = "v0" },
		"another policy":                    func(s *standingStill) { s.inv.Kept.Prune = false },
		"something is approved":             func(s *standingStill) { s.task.hold = "sha256:x" },
		"a divergence was told of":          func(s *standingStill) { s.task.app.forgotten["x"] = true },
		"what is remembered counts no more": func(s *standingStill) { s.task.app.doubt.Store(true) },
		"what was applied is not said":      func(s *standingStill) { s.task.app.unsaid = true },
		"a failure is over, and not said":   func(s *standingStill) { s.task.app.saidFailure = "x" },
		"it ends a failure to render":       func(s *standingStill) { s.task.event.Type = typeRendered },
		"another declares what it keeps": func(s *standingStill) {
			entry(func(e *Entry) { e.Held = true })(s)
			s.task.app.saidHold = "sha256:x"
			s.applier.claim(s.applier.application("other"), s.claimOf("decl"), map[string]bool{s.seen.Key(): true})
		},
		"another declares what it lets go": func(s *standingStill) {
			s.task.app.claims = claims{keys: map[string]bool{}, digest: "bundle"}
			s.applier.claim(s.applier.application("other"), s.claimOf("decl"), map[string]bool{s.seen.Key(): true})
		},
	} {
		s := newStandingStill()
		disturb(s)
		if s.undisturbed(true) {
			t.Errorf("%s: undisturbed", name)
		}
	}
	for name, still := range map[string]func(*standingStill){
		"held, and said":          func(s *standingStill) { entry(func(e *Entry) { e.Held = true })(s); s.task.app.saidHold = "x" },
		"the same revision again": func(s *standingStill) { s.task.event.Type, s.task.event.Sequence = typeRendered, 4 },
		"another declares what it declares": func(s *standingStill) {
			s.task.app.claims = claims{keys: map[string]bool{s.seen.Key(): true}, digest: "bundle"}
			s.applier.claim(s.applier.application("other"), s.claimOf("decl"), map[string]bool{s.seen.Key(): true})
		},
		"its claims are of another bundle": func(s *standingStill) {
			s.task.app.claims = claims{keys: map[string]bool{}, digest: "next"}
			s.applier.claim(s.applier.application("other"), s.claimOf("decl"), map[string]bool{s.seen.Key(): true})
		},
		"its claims are not known": func(s *standingStill) {
			s.task.app.claims = claims{digest: "bundle"}
			s.applier.claim(s.applier.application("other"), s.claimOf("decl"), map[string]bool{s.seen.Key(): true})
		},
	} {
		s := newStandingStill()
		still(s)
		if !s.undisturbed(true) {
			t.Errorf("%s: disturbed", name)
		}
	}
}

// What an application stands at already is found without a request, unless a
// newer list of the fleet lacks it. Then all that counts for it is of this event.
func TestNothingIsToBeDoneWhereAllStands(t *testing.T) {
	t.Parallel()
	conn := bustest.Start(t).Connect(t, "applier-local")
	life, err := conn.Life(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	listed, lacking := map[string]events.FleetEntry{app: {}}, map[string]events.FleetEntry{"other": {}}
	for name, test := range map[string]struct {
		change  func(*standingStill)
		nothing bool
	}{
		"it stands":                       {func(*standingStill) {}, true},
		"an older list lacks it":          {func(s *standingStill) { s.applier.fleet = &fleetList{epoch: "e", stored: 4, entries: lacking} }, true},
		"a list of another life lacks it": {func(s *standingStill) { s.applier.fleet = &fleetList{epoch: "d", stored: 9, entries: lacking} }, true},
		"a newer list lacks it":           {func(s *standingStill) { s.applier.fleet = &fleetList{epoch: "e", stored: 6, entries: lacking} }, false},
		"no list is known":                {func(s *standingStill) { s.applier.fleet = nil }, false},
		"another bundle":                  {func(s *standingStill) { s.inv.Fence.Digest = "v0" }, false},
		"another declaration":             {func(s *standingStill) { s.inv.Fence.Declaration = "v0" }, false},
		"another life of the log":         {func(s *standingStill) { s.inv.Fence.Epoch = "d" }, false},
		"it is disturbed":                 {func(s *standingStill) { s.seen.Fields = "shrunk" }, false},
		"the log doesn't say it applied":  {func(s *standingStill) { s.task.app.logged = logged{} }, false},
	} {
		s := newStandingStill()
		s.applier.bus = lookups{conn}
		s.applier.fleet = &fleetList{epoch: "e", stored: 6, entries: listed}
		s.task.app.recalled, s.task.app.logged = true, logged{life: life, last: map[string]events.Event{}}
		s.task.event.Data = &events.ManifestsUnchanged{Manifests: *s.task.m}
		test.change(s)
		s.undisturbed(true) // it has the watch
		for _, w := range s.applier.observer.kinds {
			close(w.synced)
		}
		nothing, err := s.applier.nothingToDo(t.Context(), &s.task, s.inv)
		if err != nil || nothing != test.nothing {
			t.Errorf("%s: nothing to do: %t, %v", name, nothing, err)
		}
		app := s.task.app
		if (app.current == &s.task.event) != nothing || (len(app.expected) == 1 && app.complete) != nothing || app.claims.keys[s.seen.Key()] != nothing {
			t.Errorf("%s: it stands there: %t, waits for the health of %v and declares %v", name, app.current != nil, app.expected, app.claims.keys)
		}
	}
	s := newStandingStill()
	s.applier.bus = lookups{conn}
	s.applier.fleet = &fleetList{epoch: "e", stored: 6, entries: listed}
	gone, end := context.WithCancel(t.Context())
	end()
	s.task.app.logged = logged{}
	if nothing, err := s.applier.nothingToDo(gone, &s.task, s.inv); nothing || err == nil {
		t.Errorf("the log can't be asked: nothing to do: %t, %v", nothing, err)
	}
}

// claimOf is an event by which another application claims something.
func (s *standingStill) claimOf(declaration string) events.Event {
	return events.Event{Epoch: "e", Sequence: 1, Data: &events.ManifestsRendered{Manifests: events.Manifests{DeclarationDigest: declaration}}}
}

// Where what is remembered counts no more, every object is written again and
// nothing is pruned by it, whatever its managedFields show.
func TestDoubtForgetsWhatWasAccepted(t *testing.T) {
	t.Parallel()
	for _, doubt := range []bool{false, true} {
		s := newStandingStill()
		s.task.app.doubt.Store(doubt)
		s.task.app.forgotten["x"], s.task.app.fights["y"] = true, &fight{until: time.Unix(9, 0)}
		memory := s.applier.recollect(s.task.app, s.inv)
		if !memory.Forgotten["x"] || !memory.Contended["y"].Equal(time.Unix(9, 0)) {
			t.Errorf("doubt: %t: %+v", doubt, memory)
		}
		for key, e := range memory.Entries {
			if (e.Fields == "") != doubt || e.UID != s.inv.Entries[key].UID || s.inv.Entries[key].Fields == "" {
				t.Errorf("doubt: %t: %+v", doubt, e)
			}
		}
		if memory.Fence.Compared == doubt || len(memory.Entries) != 1 || !s.inv.Fence.Compared {
			t.Errorf("doubt: %t: %+v", doubt, memory)
		}
	}
}

// Only what leads to where the fence stands keeps what is applied: it need not
// be the newest revision. Any other has to be.
func TestWhatKeepsWhatIsApplied(t *testing.T) {
	t.Parallel()
	every([]int{2, 2, 3, 2, 2, 2}, func(c []int) {
		s := newStandingStill()
		if c[0] == 1 {
			s.task.cause = causeRevision
		}
		if c[1] == 1 {
			s.task.event.Epoch = "d"
		}
		s.task.event.Sequence = uint64(3 + c[2]) // the fence is at 4
		if c[3] == 1 {
			s.inv.Fence.Digest = "v0"
		}
		if c[4] == 1 {
			s.inv.Fence.Declaration = "v0"
		}
		if c[5] == 1 {
			s.task.event.Type = typeRendered
		}
		if got, want := s.task.stands(s.inv), c[0] == 0 && c[1] == 0 && c[2] > 0 && c[3] == 0 && c[4] == 0; got != want {
			t.Errorf("%v: stands: %t", c, got)
		}
		if got, want := s.task.recovers(s.inv.Fence), c[5] == 1 && c[1] == 0 && c[2] == 2; got != want {
			t.Errorf("%v: recovers: %t", c, got)
		}
	})
}

// A revision is superseded by a newer bundle, and by a newer one that doesn't
// render: both are asked for, but where it keeps what is applied. In a new life
// of the log that failure is no reason to leave the fence in the old one.
func TestWhatMaySupersede(t *testing.T) {
	t.Parallel()
	address := events.Address{Application: app}
	bundles, failed := []string{typeRendered.Subject(address), typeUnchanged.Subject(address)}, typeFailed.Subject(address)
	every([]int{2, 2, 3, 2, 2}, func(c []int) {
		s := newStandingStill()
		if c[0] == 1 {
			s.task.cause = causeRevision
		}
		s.task.raced = c[1] == 1
		s.inv.Fence.Epoch = []string{"e", "d", ""}[c[2]] // this life of the log, another, none yet
		if c[3] == 1 {
			s.inv.Fence.Digest = "v0"
		}
		if c[4] == 1 {
			s.inv.Fence.Declaration = "v0"
		}
		same := c[3] == 0 && c[4] == 0
		var want []string
		if c[0] == 1 || c[2] > 0 || !same {
			want = append(want, bundles...)
			if c[2] != 1 || !same {
				want = append(want, failed)
			}
		}
		if got := s.applier.rivals(context.Background(), &s.task, s.inv); !slices.Equal(got, want) {
			t.Errorf("%v: asked for %v, want %v", c, got, want)
		}
	})
}

// An application declares what its inventory holds, but for what waits to be
// deleted.
func TestWhatIsHeldIsNotDeclared(t *testing.T) {
	t.Parallel()
	a, b := accepted(configMap("a")), accepted(configMap("b"))
	b.Held = true
	keys := Inventory{Entries: map[string]Entry{a.Key(): a, b.Key(): b}}.declared()
	if !keys[a.Key()] || keys[b.Key()] {
		t.Errorf("got %v", keys)
	}
}
