// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// sightings is every sighting over small domains.
func sightings() []sighting {
	bools := []bool{false, true}
	lasts := []*published{nil, {7, "e2", "other", "main", "A", "d2", "f1"}}
	for _, epoch := range []string{"e1", "e2"} {
		for _, ref := range []string{"main", "dev"} {
			for _, commit := range []string{"A", "B"} {
				for _, digest := range []string{"d1", "d2"} {
					lasts = append(lasts, &published{7, epoch, "shop", ref, commit, digest, "f1"})
				}
			}
		}
	}
	var all []sighting
	for _, last := range lasts {
		for _, tip := range []string{"", "A", "B"} {
			for bits := range 1 << 10 {
				bit := func(i int) bool { return bools[bits>>i&1] }
				for _, became := range []outcome{pending, broken, bundled} {
					all = append(all, sighting{
						epoch: "e2", last: last, repository: "shop", ref: "main", tip: tip, digest: "d2",
						descends: bit(0), confirmed: bit(1), fleetBehind: bit(2), reentered: bit(3), remembered: bit(4),
						rejected: bit(5) && tip != "", outcome: became, bundled: bit(6) || became == bundled, past: bit(7),
						revived: bit(8) && last != nil && last.epoch == "e2", waited: bit(9),
					})
				}
			}
		}
	}
	return all
}

func TestDecideOverItsWholeStateSpace(t *testing.T) {
	for _, s := range sightings() {
		v := decide(s)
		fail := func(rule string) {
			t.Helper()
			t.Fatalf("%s: %+v (last %+v) gives %+v", rule, s, s.last, v)
		}
		if v.action == revive {
			checkRevival(s, v, fail)
			continue
		}
		if (s.tip == "") != (v.action == keepLast) {
			fail("a ref that is gone, and it alone, keeps the last revision")
		}
		checkAction(s, v, fail)
		if v.action != publish {
			if v.cause != "" || v.forced || v.expect != 0 {
				fail("only a publish says more")
			}
			continue
		}
		if s.last == nil {
			if v.expect != 0 || v.forced || v.previous != "" {
				fail("the first revision follows none")
			}
			if (v.cause == causeLog) != s.remembered || (v.cause == causeDeclaration) == s.remembered {
				fail("the first revision is of a new declaration, or of a log that was lost")
			}
			continue
		}
		sameRef, moved := s.last.repository == s.repository && s.last.ref == s.ref, s.last.commit != s.tip
		switch {
		case v.expect != s.last.stored || v.previous != s.last.commit:
			fail("a revision follows the last one, by compare-and-set")
		case v.forced != (sameRef && moved && !s.descends):
			fail("forced is a history rewritten on the same ref")
		case v.forced && !s.confirmed:
			fail("a tip that the last revision is not in is listed again first")
		case s.last.digest != s.digest && s.fleetBehind:
			fail("a declaration that may be older than the last one is read again first")
		case s.revived && s.outcome == pending && !s.waited:
			fail("the tip overtakes what is in force")
		case (v.cause == causeLog) != (s.last.epoch != s.epoch || s.revived && s.last.digest == s.digest && !s.reentered):
			fail("the cause log is another epoch, or follows what was said again in it")
		case v.cause != causeLog && (v.cause == causeCommit) != (sameRef && moved):
			fail("the cause is a commit where the ref has moved, else the declaration")
		case !moved && s.last.digest == s.digest && !s.reentered && s.last.epoch == s.epoch && sameRef:
			fail("nothing changed")
		}
		after := s
		after.last = &published{8, s.epoch, s.repository, s.ref, s.tip, s.digest, "f2"}
		after.reentered, after.descends, after.revived, after.rejected, after.outcome = false, true, false, false, pending
		if again := decide(after); again.action != nothing {
			fail("published once, it is published again")
		}
	}
}

// checkAction demands a reason for what is put off, or left alone.
func checkAction(s sighting, v verdict, fail func(string)) {
	if s.last == nil || s.tip == "" {
		return
	}
	sameRef, moved := s.last.repository == s.repository && s.last.ref == s.ref, s.last.commit != s.tip
	redeclared := s.last.digest != s.digest
	switch {
	case v.action == nothing && (moved || redeclared || s.reentered || s.last.epoch != s.epoch):
		fail("a commit, a declaration, a return or a new log is never passed over")
	case v.action == listAgain && (!sameRef || !moved || s.descends || s.confirmed):
		fail("nothing is listed again but a tip that the last revision is not in, and that once")
	case v.action == readFleetAgain && (!redeclared || !s.fleetBehind):
		fail("nothing is read again but another declaration, that may be older than the last one")
	case v.action == await && (!s.revived || s.outcome != pending || s.waited):
		fail("nothing is waited for but the outcome of what was said again")
	}
}

// checkRevival demands what is to be so where the revision before the tip is said.
func checkRevival(s sighting, v verdict, fail func(string)) {
	unsayable := s.tip == "" || s.rejected
	said := s.last != nil && s.last.epoch == s.epoch
	switch {
	case !s.past || s.bundled:
		fail("what is in force is not lost, or not known")
	case said && s.outcome != broken:
		fail("the last revision may be rendered yet")
	case said && !unsayable && (s.last.commit != s.tip || s.last.digest != s.digest || s.reentered):
		fail("the tip was not said")
	case !said && !unsayable:
		fail("the tip comes first: most often it renders")
	case v.cause != causeLog || v.forced:
		fail("it is said for the log alone")
	case s.last == nil && (v.expect != 0 || v.previous != ""):
		fail("the first revision follows none")
	case s.last != nil && (v.expect != s.last.stored || v.previous != s.last.commit):
		fail("a revision follows the last one, by compare-and-set")
	}
}

// A log is lost, and what was said before is known so far: whatever can be
// rendered, however outcomes come, is late or lost, and wherever the watcher is
// restarted, the log ends with the tip, and holds a bundle of the newest revision
// that can be rendered, and of none before it.
func TestEveryLostLogTellsOfWhatIsInForce(t *testing.T) {
	for seed := range uint64(5000) {
		random := rand.New(rand.NewPCG(seed, 2))
		renders := map[string]bool{}
		var list []past // oldest first; the last is the tip
		for i := range 1 + random.IntN(4) {
			p := past{Commit: string(rune('A' + i)), Digest: "d"}
			renders[p.Commit] = random.IntN(3) == 0
			p.Good = i == 0 && renders[p.Commit]
			list = append(list, p)
		}
		tip := list[len(list)-1].Commit
		want := ""
		for _, p := range list {
			if renders[p.Commit] {
				want = p.Commit
			}
		}
		gone, rejected := random.IntN(6) == 0, random.IntN(6) == 0
		if gone || rejected {
			want = ""
			for _, p := range list[:len(list)-1] {
				if renders[p.Commit] {
					want = p.Commit
				}
			}
			list = list[:len(list)-1] // a tip that can't be said never was
		}
		s := sighting{epoch: "e2", repository: "shop", ref: "main", tip: tip, digest: "d", descends: true, confirmed: true, rejected: rejected}
		if gone {
			s.tip = ""
		}
		tried := revival{tried: map[[2]string]bool{}}
		bundle := ""
		answer := func() {
			if s.last == nil || s.outcome != pending {
				return
			}
			seen := past{Commit: s.last.commit, Digest: "d"}
			s.outcome, list = broken, failed(list, seen)
			if renders[seen.Commit] {
				s.outcome, s.bundled, list = bundled, true, rendered(list, seen)
				if bundle == "" {
					bundle = seen.Commit
				}
			}
		}
		steps := 0
		for quiet := 0; quiet < 3; steps++ {
			if steps > 200 {
				t.Fatalf("seed %d: it doesn't end", seed)
			}
			if random.IntN(2) == 0 || steps > 100 {
				answer()
			}
			if random.IntN(10) == 0 && steps < 100 { // a restart
				tried, s.revived = revival{tried: map[[2]string]bool{}}, false
			}
			var before []past
			for _, p := range slices.Backward(list) {
				if p.Commit != s.tip {
					before = append(before, p)
				}
			}
			next := tried.next(before, func(past) bool { return true })
			s.past, s.waited = next != nil, steps < 100 && random.IntN(8) == 0
			if s.revived && s.waited && s.outcome == pending {
				tried.tried[[2]string{s.last.commit, "d"}] = false
			}
			v := decide(s)
			said := ""
			switch {
			case v.action == revive:
				said, s.revived = next.Commit, true
				tried.tried[[2]string{next.Commit, "d"}] = true
			case v.action == publish && !rejected:
				said, s.revived = tip, false
			}
			if said == "" {
				if s.last == nil || s.outcome != pending {
					quiet++
				}
				continue
			}
			quiet = 0
			s.last = &published{uint64(steps + 1), "e2", "shop", "main", said, "d", "f"}
			s.outcome = pending
		}
		switch {
		case bundle != want:
			t.Fatalf("seed %d: of %v, which render %v, the log tells of %q, want %q", seed, list, renders, bundle, want)
		case !gone && !rejected && s.last.commit != tip:
			t.Fatalf("seed %d: the log ends with %s", seed, s.last.commit)
		}
	}
}

// history is a model of a branch that moves, of a log with compare-and-set,
// and of watchers that list, read and publish in any interleaving, with
// listings that may be stale.
type history struct {
	random  *rand.Rand
	parents map[string]string // commit → parent
	tips    []string          // of the branch, in order of time
	log     []published
}

func (h *history) descends(old, tip string) bool {
	for c := tip; c != ""; c = h.parents[c] {
		if c == old {
			return true
		}
	}
	return false
}

func (h *history) push() {
	tip := h.tips[len(h.tips)-1]
	if h.random.IntN(3) == 0 && h.parents[tip] != "" {
		h.tips = append(h.tips, h.parents[tip]) // a force-push back
		return
	}
	next := fmt.Sprintf("c%d", len(h.parents))
	h.parents[next] = tip
	h.tips = append(h.tips, next)
}

// modelWatcher does one step of a look at a time.
type modelWatcher struct {
	tip       string
	last      *published
	read      bool
	confirmed bool
	step      int
}

func (w *modelWatcher) advance(h *history) {
	switch w.step {
	case 0:
		w.tip = h.tips[len(h.tips)-1]
		w.step++
	case 1:
		if !w.read {
			w.last, w.read = nil, true
			if n := len(h.log); n > 0 {
				last := h.log[n-1]
				w.last = &last
			}
		}
		w.step++
	case 2:
		w.step = 0
		s := sighting{epoch: "e", last: w.last, repository: "r", ref: "main", tip: w.tip, digest: "d", descends: true, confirmed: w.confirmed}
		if w.last != nil {
			s.descends = h.descends(w.last.commit, w.tip)
		}
		v := decide(s)
		w.confirmed = v.action == listAgain
		if v.action != publish {
			return
		}
		if v.expect != uint64(len(h.log)) {
			w.read, w.confirmed = false, false // conflict
			return
		}
		h.log = append(h.log, published{uint64(len(h.log) + 1), "e", "r", "main", w.tip, "d", "f"})
		last := h.log[len(h.log)-1]
		w.last = &last
	}
}

func TestTwoWatchersEndAtTheTip(t *testing.T) {
	for seed := range uint64(2000) {
		h := &history{random: rand.New(rand.NewPCG(seed, 1)), parents: map[string]string{"c0": ""}, tips: []string{"c0"}}
		watchers := []*modelWatcher{{}, {}}
		for range 60 {
			if h.random.IntN(6) == 0 {
				h.push()
			}
			watchers[h.random.IntN(2)].advance(h)
		}
		for range 12 { // nobody pushes any more
			for _, w := range watchers {
				w.advance(h)
			}
		}
		if got, want := h.log[len(h.log)-1].commit, h.tips[len(h.tips)-1]; got != want {
			t.Fatalf("seed %d: the log ends at %s, the branch at %s", seed, got, want)
		}
		for i := 1; i < len(h.log); i++ {
			if h.log[i].commit == h.log[i-1].commit {
				t.Fatalf("seed %d: %s was published twice in a row", seed, h.log[i].commit)
			}
		}
	}
}
