// SPDX-License-Identifier: Apache-2.0

package faults

import "testing"

// What the checker could not decide is counted, apart for rounds that take away
// what it would have to know.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		tell func(*tale)
		want Judged
	}{
		"all is known": {func(t *tale) { t.converge("c2", t.declare(5, "two")) }, Judged{
			Writes: Tally{Judged: 11}, Deletes: Tally{Judged: 1}, Fences: Tally{Judged: 4},
		}},
		"a commit that nobody pushed": {func(t *tale) {
			t.converge("c2", t.declare(5, "two"))
			unpush(t, "c2")
		}, Judged{Writes: Tally{Judged: 6, Open: 5}, Deletes: Tally{Open: 1}, Fences: Tally{Judged: 4}}},
		"a list in place of what happened": {func(t *tale) {
			t.write(t.declare(1, "two").Objects[0], "digest of two")
			t.history[len(t.history)-1].Object.Listed = true
		}, Judged{Writes: Tally{Judged: 6, Open: 1}, Fences: Tally{Judged: 2}}},
		"a list after the log went": {func(t *tale) {
			t.add(Record{Begun: &FaultRun{Round: 2, Loses: LosesLog}})
			t.write(t.declare(1, "two").Objects[0], "digest of two")
			t.history[len(t.history)-1].Object.Listed = true
		}, Judged{Writes: Tally{Judged: 6, Lost: 1}, Fences: Tally{Judged: 2}}},
		"a fence that can't be read": {func(t *tale) {
			t.keep()
			t.history[len(t.history)-1].Inventory.Unread = true
		}, Judged{Writes: Tally{Judged: 6}, Fences: Tally{Judged: 2, Open: 1}}},
	} {
		story := newTale()
		c.tell(story)
		if got := Judge(story.history); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	for _, c := range []struct {
		Tally
		thin bool
	}{{Tally{}, true}, {Tally{Lost: 9}, true}, {Tally{Judged: 100, Lost: 50, Open: 5}, false}, {Tally{Judged: 100, Open: 6}, true}} {
		if c.Thin() != c.thin {
			t.Errorf("%+v: thin %t", c.Tally, c.Thin())
		}
	}
}

// unpush takes what a commit holds out of a history.
func unpush(t *tale, commit string) {
	for i, r := range t.history {
		if r.Ref != nil && r.Ref.Commit == commit {
			ref := *r.Ref
			ref.Dirs = nil
			t.history[i].Ref = &ref
		}
	}
}

// What I8 had to decide of is counted.
func TestToldIsCounted(t *testing.T) {
	story := newTale()
	story.event(Event{Type: "divergence.detected", Key: "k"})
	story.event(Event{Type: "divergence.persisted", Key: "k"})
	story.event(Event{Type: "alert.delivered", Alert: &Alert{}})
	story.event(Event{Type: "divergence.resolved", Key: "k"})
	var r Result
	r.count(story.history)
	if want := (Told{Divergences: 1, Persisted: 1, Alerts: 1}); r.Told != want {
		t.Errorf("%+v, want %+v", r.Told, want)
	}
}
