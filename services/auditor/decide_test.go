// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

var web = events.Object{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"}

// situations yields every combination of what can be known of an object.
func situations(yield func(name string, d Desired, l Live)) {
	type bits struct{ observe, settled, overdue, listed, exists, gone, seen, deleting, annotated, labelled, learnt bool }
	digests := []string{"", "A", "B", "C"}
	for n := range 1 << 11 {
		on := func(i int) bool { return n>>i&1 == 1 }
		b := bits{on(0), on(1), on(2), on(3), on(4), on(5), on(6), on(7), on(8), on(9), on(10)}
		if b.exists && b.gone {
			continue
		}
		for _, target := range []string{"", "A"} {
			for _, before := range []string{"", "A", "B"} {
				for _, at := range digests {
					for doubt := range 2 {
						d := Desired{Object: web, Application: "shop-web", Observe: b.observe, Target: target, Before: before, Settled: b.settled, Overdue: b.overdue, Learnt: map[string]string{}}
						l := Live{Listed: b.listed, Exists: b.exists, Gone: b.gone, Seen: b.seen, Doubt: doubt}
						l.Meta = Meta{UID: "u", Digest: at, Deleting: b.deleting, Annotated: b.annotated, Ours: Entry{Fields: "sha256:f"}}
						if b.labelled {
							l.Application = "shop-web"
						}
						if b.learnt {
							d.Learnt[at] = "sha256:f"
						}
						yield(fmt.Sprintf("%+v target=%q before=%q at=%q doubt=%d", b, target, before, at, doubt), d, l)
					}
				}
			}
		}
	}
}

// look is what a GET adds: the object is gone, or a comparison.
func look(l Live, v Verdict, differs bool) Live {
	if !l.Exists {
		l.Gone = true
		return l
	}
	l.Compared = &Comparison{Digest: v.Digest, For: "shop-web", Signature: l.Signature(), Fields: l.Ours.Fields, Claimed: l.Digest, Application: l.Application, Doubt: l.Doubt}
	if differs {
		l.Compared.Differences = []Difference{{FieldDifference: events.FieldDifference{Path: "/spec/replicas"}}}
	}
	return l
}

// TestAssessForOneApplication hands an object from one application to another
// that declares the same content: how it compared for the one, whose label it
// then lacked, says nothing of the other.
func TestAssessForOneApplication(t *testing.T) {
	d := Desired{Object: web, Application: "shop-web", Target: "A", Before: "A", Settled: true}
	l := Live{Listed: true, Exists: true, Doubt: 1, Meta: Meta{UID: "u", Digest: "A", Application: "shop-web", Ours: Entry{Fields: "sha256:f"}}}
	l = look(l, Verdict{Digest: "A"}, true)
	l.Compared.For = "shop-old"
	if v := assess(d, l); v.State != Look {
		t.Errorf("the comparison for another application is taken for ours: %+v", v)
	}
}

func TestAssessHoldsItsInvariants(t *testing.T) {
	count := 0
	situations(func(name string, d Desired, l Live) {
		count++
		v := assess(d, l)
		fail := func(why string) { t.Errorf("%s: %s: %+v", why, name, v) }
		if (v.State == Undeclared) != (d.Target == "") {
			fail("undeclared if and only if Git has no such object")
		}
		if d.Target == "" {
			return
		}
		if !l.Listed && v.State != Wait {
			fail("what was not listed says nothing")
		}
		there := l.Exists && !l.Deleting
		if v.State == Differs && there {
			fail("differs without a comparison")
		}
		if v.State == Differs && !l.Gone && !l.Deleting {
			fail("said to be gone without a look")
		}
		inFlight := !d.Settled && !d.Observe
		if v.State == Differs && inFlight && d.Before == "" {
			fail("a new object is missed while it is on its way")
		}
		if v.State == Same && (l.Doubt > 0 || d.Observe || l.Application != d.Application || d.Learnt[l.Digest] == "") {
			fail("taken on trust")
		}
		if inFlight && !d.Overdue && there && v.State == Look && l.Digest != d.Target && v.Digest == d.Target && d.Before != d.Target {
			fail("held against a revision that has not reached it")
		}
		if v.State == Look {
			for _, differs := range []bool{false, true} {
				after := assess(d, look(l, v, differs))
				if after.State == Look {
					fail("a look settles nothing")
				}
				if there && (after.State == Differs) != differs {
					fail(fmt.Sprintf("a look that found differs=%v gives %+v", differs, after))
				}
			}
		}
	})
	if count < 10_000 {
		t.Errorf("only %d situations", count)
	}
}

// A bundle that comes back (A, B, A) is not in place for a watch that has not shown
// what the applier wrote of the other.
func TestAssessLooksWhereAnotherDigestWasWrittenSince(t *testing.T) {
	d := Desired{Object: web, Application: "shop-web", Target: "A", Before: "B", Wrote: "100", Learnt: map[string]string{"A": "sha256:f", "B": "sha256:f"}}
	l := Live{Listed: true, Exists: true, Meta: Meta{UID: "u", Digest: "A", Application: "shop-web", Annotated: true, ResourceVersion: "99", Ours: Entry{Fields: "sha256:f"}}}
	if v := assess(d, l); v.State != Look {
		t.Errorf("behind the log: got %+v", v)
	}
	l.ResourceVersion = "101"
	if v := assess(d, l); v.State != Same {
		t.Errorf("as far as the log: got %+v", v)
	}
}

// A watch whose connection is half open shows for minutes what was there before
// the applier's last write. Nothing is left to it: the object is looked at.
func TestAssessLooksWhereTheWatchIsBehindTheLog(t *testing.T) {
	d := Desired{Object: web, Application: "shop-web", Target: "B", Before: "B", Settled: true, Wrote: "100", Learnt: map[string]string{"A": "sha256:f", "B": "sha256:f"}}
	l := Live{Listed: true, Exists: true, Meta: Meta{UID: "u", Digest: "A", Application: "shop-web", Annotated: true, ResourceVersion: "99", Ours: Entry{Fields: "sha256:f"}}}
	if v := assess(d, l); v.State != Look {
		t.Errorf("got %+v", v)
	}
}

func TestAssessForgetsAStaleComparison(t *testing.T) {
	d := Desired{Object: web, Application: "shop-web", Target: "A", Settled: true, Learnt: map[string]string{"A": "sha256:f"}}
	l := Live{Listed: true, Exists: true, Meta: Meta{UID: "u", Digest: "A", Application: "shop-web", Annotated: true, Ours: Entry{Fields: "sha256:f"}}}
	if v := assess(d, l); v.State != Same {
		t.Fatalf("learnt: %+v", v)
	}
	l = look(l, Verdict{Digest: "A"}, false)
	for name, change := range map[string]func(*Live){
		"our entry shrank":         func(l *Live) { l.Ours.Fields = "sha256:g" },
		"written under our name":   func(l *Live) { l.Doubt++ },
		"the annotation was taken": func(l *Live) { l.Digest, l.Annotated = "X", false },
		"relabelled":               func(l *Live) { l.Application = "other" },
	} {
		changed := l
		change(&changed)
		if v := assess(d, changed); v.State != Look {
			t.Errorf("%s: %+v, want a look", name, v)
		}
	}
	foreign := l
	foreign.Others, foreign.Surface = "someone", "a label"
	if v := assess(d, foreign); v.State != Same {
		t.Errorf("a foreign write that left our entry alone: %+v, want same", v)
	}
	// Where our entry doesn't own what counts, anyone's write is looked at.
	foreign.Compared.Unowned = []string{"/spec/replicas"}
	if v := assess(d, Live{Listed: true, Exists: true, Doubt: 1, Meta: foreign.Meta, Compared: foreign.Compared}); v.State != Look {
		t.Errorf("unowned field, foreign write: %+v, want a look", v)
	}
}

// An object that carried another declaration of ours was compared with the
// newest, and differed. Then the applier wrote the newest: it has the same
// fields, and other values.
func TestAssessForgetsAComparisonOfAnotherDeclaration(t *testing.T) {
	d := Desired{Object: web, Application: "shop-web", Target: "A", Settled: true, Learnt: map[string]string{"A": "sha256:f"}}
	for name, before := range map[string]Meta{
		"an older digest":          {UID: "u", Digest: "B", Application: "shop-web", Annotated: true, Ours: Entry{Fields: "sha256:f"}},
		"another application's":    {UID: "u", Digest: "A", Application: "shop-api", Annotated: true, Ours: Entry{Fields: "sha256:f"}},
		"both another's and older": {UID: "u", Digest: "B", Application: "shop-api", Annotated: true, Ours: Entry{Fields: "sha256:f"}},
	} {
		l := look(Live{Listed: true, Exists: true, Meta: before}, Verdict{Digest: "A"}, true)
		if v := assess(d, l); v.State != Differs {
			t.Fatalf("%s: %+v, want it to differ", name, v)
		}
		l.Digest, l.Application, l.Others, l.ResourceVersion = "A", "shop-web", "", "2"
		if v := assess(d, l); v.State != Same {
			t.Errorf("%s, put right: %+v, want same", name, v)
		}
	}
}

// An object that moves from one application to another unchanged has the digest
// that the other declares, and the first one's label until it is taken over.
func TestAnObjectThatMovesIsNoDivergence(t *testing.T) {
	d := Desired{Object: web, Application: "shop-web", Target: "A"}
	l := Live{Listed: true, Exists: true, Meta: Meta{UID: "u", Digest: "A", Application: "shop-api", Annotated: true, Ours: Entry{Fields: "sha256:f"}}}
	if v := assess(d, l); v.State != Wait {
		t.Errorf("on its way: %+v, want to wait", v)
	}
	for name, change := range map[string]func(*Desired){
		"settled": func(d *Desired) { d.Settled = true }, "overdue": func(d *Desired) { d.Overdue = true },
		"ours before": func(d *Desired) { d.Before = "A" },
	} {
		changed := d
		change(&changed)
		if v := assess(changed, l); v.State != Look {
			t.Errorf("%s: %+v, want a look", name, v)
		}
	}
}

func TestIgnoreRulesAddedAndTakenAway(t *testing.T) {
	d := Desired{Object: web, Application: "shop-web", Target: "A", Settled: true}
	l := Live{Listed: true, Exists: true, Doubt: 1, Meta: Meta{UID: "u", Digest: "A", Application: "shop-web"}}
	l = look(l, Verdict{Digest: "A"}, true)
	if v := assess(d, l); v.State != Differs || v.Kind != events.DivergenceChanged {
		t.Fatalf("without a rule: %+v", v)
	}
	d.Rules = []events.IgnoreRule{{Kind: "Deployment", Path: "/spec/replicas"}}
	if v := assess(d, l); v.State != Same || how(v) != Ignored {
		t.Errorf("with a rule: %+v, %s", v, how(v))
	}
	d.Rules = nil
	if v := assess(d, l); v.State != Differs {
		t.Errorf("the rule taken away: %+v", v)
	}
}

// What the applier wrote is undone by a write after it that shows: a field
// taken from our entry, or the end of the object.
func TestUndoneNeedsAWriteAfterOurs(t *testing.T) {
	d := Desired{Object: web, Application: "shop-web", Target: "A", Settled: true, Wrote: "100", Learnt: map[string]string{"A": "sha256:f"}}
	at := func(version, fields string) Live {
		return Live{Listed: true, Exists: true, Meta: Meta{UID: "u", ResourceVersion: version, Digest: "A", Application: "shop-web", Ours: Entry{Fields: fields}}}
	}
	for name, c := range map[string]struct {
		live Live
		want string
	}{
		"the watch is behind":         {at("99", "sha256:g"), ""},
		"as we wrote it":              {at("100", "sha256:f"), ""},
		"a later write of no field":   {at("101", "sha256:f"), ""},
		"a later write of a field":    {at("101", "sha256:g"), "100"},
		"being deleted since":         {Live{Listed: true, Exists: true, Meta: Meta{ResourceVersion: "101", Deleting: true}}, "100"},
		"gone before":                 {Live{Listed: true, Gone: true, Seen: true, Left: "99"}, ""},
		"gone since":                  {Live{Listed: true, Gone: true, Seen: true, Left: "101"}, "100"},
		"looked for since, not found": {Live{Listed: true, Gone: true, Seen: true}, "100"},
	} {
		if c.live.Exists && !c.live.Deleting {
			c.live = look(c.live, Verdict{Digest: "A"}, true)
		}
		if v := assess(d, c.live); v.State != Differs || v.Undone != c.want {
			t.Errorf("%s: %+v, want undone %q", name, v, c.want)
		}
	}
	unknown := d
	unknown.Wrote = ""
	if v := assess(unknown, look(at("101", "sha256:g"), Verdict{Digest: "A"}, true)); v.Undone != "" {
		t.Errorf("no write of ours is known: %+v", v)
	}
}

// logOf applies transitions as the log would record them and checks that each
// divergence is detected, persisted and resolved once and in that order.
type logOf struct {
	t     *testing.T
	known Known
	last  Step
	n     uint64
}

func (g *logOf) publish(tr Transition, at string, now time.Time) {
	allowed := map[Step][]Step{Keep: {Detect}, Resolve: {Detect}, Detect: {Persist, Resolve}, Persist: {Resolve}}
	ok := false
	for _, next := range allowed[g.last] {
		ok = ok || next == tr.Step
	}
	if !ok {
		g.t.Fatalf("step %d follows %d", tr.Step, g.last)
	}
	g.last, g.n = tr.Step, g.n+1
	g.known.Last = g.n
	switch tr.Step {
	case Detect:
		g.known.Phase, g.known.Divergence = Detected, events.Divergence{Since: now, ResourceVersion: at}
	case Persist:
		g.known.Phase = Persisted
	case Resolve:
		g.known.Phase = Closed
		if tr.How == "" {
			g.t.Fatal("resolved without saying how")
		}
	}
}

func TestTransitionsComeOnceAndInOrder(t *testing.T) {
	const alertAfter = 2 * time.Minute
	r := rand.New(rand.NewPCG(7, 11))
	states := []Verdict{{State: Wait}, {State: Same, Owned: true}, {State: Same}, {State: Same, Ignored: 1}, {State: Differs}, {State: Differs, Kind: events.DivergenceDeleted}, {State: Undeclared}, {State: Differs, Undone: "undone"}}
	for range 2_000 {
		g := &logOf{t: t}
		now := time.Unix(1_000_000, 0)
		var since time.Time
		version := 100
		for range 60 {
			v := states[r.IntN(len(states))]
			version++
			if v.State == Differs {
				v.At = strconv.Itoa(version)
			}
			if v.Undone != "" { // the applier wrote, and after that it was changed again
				v.Undone = strconv.Itoa(version)
				version++
				v.At = strconv.Itoa(version)
			}
			again := v.Undone != "" && g.known.Phase != Closed
			now = now.Add(time.Duration(r.IntN(90)) * time.Second)
			before := g.known
			// A restart or a redelivery asks the same question again until
			// there is nothing left to do.
			for asked := 0; ; asked++ {
				tr := advance(g.known, v, alertAfter, now)
				if tr.Step == Keep {
					if tr.Wake.Before(now) && !tr.Wake.IsZero() {
						t.Fatalf("wakes in the past")
					}
					break
				}
				if asked == 3 {
					t.Fatalf("%+v never comes to rest", v)
				}
				if tr.Step == Persist && now.Sub(since) < alertAfter {
					t.Fatalf("persisted after %s", now.Sub(since))
				}
				if tr.Step == Detect {
					since = now
				}
				g.publish(tr, v.At, now)
			}
			switch v.State {
			case Wait, Look:
				if g.known.Phase != before.Phase || g.known.Last != before.Last {
					t.Fatal("a transition out of not knowing")
				}
			case Differs:
				if g.known.Phase == Closed {
					t.Fatal("differs, and nothing is open")
				}
				if again && !g.known.Divergence.Since.Equal(now) {
					t.Fatal("changed again after it was put right, and not told")
				}
				if g.known.Phase == Detected && now.Sub(since) >= alertAfter {
					t.Fatal("not said to persist")
				}
			default:
				if g.known.Phase != Closed {
					t.Fatal("is the same, and still open")
				}
			}
		}
	}
}

// A new life of the log that has told of no revision yet: what is compared is the
// bundle of the life before, and its window is over no sooner.
func TestWindowInANewLifeOfTheLog(t *testing.T) {
	app := newApplication("local", "shop")
	app.manifests = &events.Manifests{Declaration: events.Declaration{Audit: events.Audit{AlertAfter: events.Duration(3 * time.Second)}}}
	app.view.epoch = "another"
	now := time.Now()
	known := Known{Phase: Detected, Divergence: events.Divergence{Since: now.Add(-time.Second)}}
	if got := app.advance(known, Verdict{State: Differs}, now); got.Step != Keep || !got.Wake.Equal(now.Add(2*time.Second)) {
		t.Errorf("after one of three seconds: %+v", got)
	}
}
