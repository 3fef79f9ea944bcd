// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumbline-dev/plumbline/events"
)

// every calls f with each combination of n bits.
func every(n int, f func(on func(int) bool)) {
	for bits := range 1 << n {
		f(func(i int) bool { return bits>>i&1 == 1 })
	}
}

// What live is held against while a revision is on its way: what it claims to
// be of the two that may be right, until the time is over or all is applied.
// What is about to be taken over or brought on is waited for.
func TestWhatLiveIsHeldAgainst(t *testing.T) {
	t.Parallel()
	every(5, func(on func(int) bool) {
		for _, before := range []string{"", "A", "B"} {
			for _, digest := range []string{"", "A", "B", "C"} {
				d := Desired{Application: "shop-web", Target: "A", Before: before, Observe: on(0), Settled: on(1), Overdue: on(2)}
				l := Live{Exists: true, Meta: Meta{Digest: digest, Annotated: on(3), Application: "shop-web"}}
				if on(4) {
					l.Application = "shop-api"
				}
				open := !d.Observe && !d.Settled // both revisions may be right
				want, waits := "A", false
				switch {
				case open && before == "" && !d.Overdue:
					want, waits = "A", on(4) || digest != "A"
				case open && before != "" && digest == before:
					want = before
				case open && !d.Overdue && digest != "A":
					want, waits = before, digest != "" && l.Annotated
				}
				if waits {
					want = ""
				}
				if got, wait := expected(d, l); got != want || wait != waits {
					t.Fatalf("%+v\n%+v\nheld against %q, waits: %t; want %q, %t", d, l, got, wait, want, waits)
				}
			}
		}
	})
}

// A bundle that is in place although nobody has said so is settled, but for an
// object that is of another revision of ours.
func TestWhatIsInPlaceIsSettled(t *testing.T) {
	t.Parallel()
	every(5, func(on func(int) bool) {
		for _, digest := range []string{"", "A", "B"} {
			d := Desired{Object: web, Application: "shop-web", Target: "A", Before: "B", Settled: on(0), InPlace: on(1), Overdue: true}
			l := Live{Listed: true, Exists: true, Meta: Meta{Digest: digest, Annotated: on(2), Application: "shop-web"}, Doubt: 1}
			if on(3) {
				l.Application = "shop-api"
			}
			if on(4) {
				l.Exists = false
			}
			of := l.Exists && l.Annotated && l.Application == "shop-web" && digest == "B"
			if got := passing(d, l); got != of {
				t.Fatalf("%+v: of another revision: %t", l, got)
			}
			want := "A"
			if settled := d.Settled || d.InPlace && !of; !settled && digest == "B" && l.Exists {
				want = "B"
			}
			if v := assess(d, l); v.State != Look || v.Digest != want {
				t.Fatalf("%+v\n%+v: got %+v, want a look at %s", d, l, v, want)
			}
		}
	})
}

// An absence is one only after a look, and of what was there before or is
// settled; what this process has seen was deleted.
func TestWhatAnAbsenceIs(t *testing.T) {
	t.Parallel()
	every(7, func(on func(int) bool) {
		d := Desired{Object: web, Application: "shop-web", Target: "A", Settled: on(0), Observe: on(1)}
		if on(2) {
			d.Before = "B"
		}
		l := Live{Listed: true, Gone: on(3), Seen: on(5), Exists: on(6)}
		l.Deleting = l.Exists
		want := Verdict{State: Differs, Kind: events.DivergenceMissing}
		switch {
		case !d.Settled && !d.Observe && d.Before == "":
			want = Verdict{State: Wait}
		case !l.Gone && !l.Deleting:
			want = Verdict{State: Look, Digest: "A"}
		case l.Seen:
			want.Kind = events.DivergenceDeleted
		}
		if v := assess(d, l); v.State != want.State || v.Kind != want.Kind || v.Digest != want.Digest {
			t.Fatalf("%+v\n%+v: got %+v, want %+v", d, l, v, want)
		}
	})
}

// A comparison lasts as long as nothing that it depends on is another: the
// writes of others are nothing, where our entry owns all that counts and is as
// it was.
func TestWhatAComparisonHolds(t *testing.T) {
	t.Parallel()
	whole := func() (Desired, Live) {
		d := Desired{Object: web, Application: "shop-web", Target: "A", Settled: true}
		l := Live{Listed: true, Exists: true, Doubt: 1, Meta: Meta{UID: "u", ResourceVersion: "1", Digest: "A", Application: "shop-web", Ours: Entry{Fields: "f"}}}
		l = look(l, Verdict{Digest: "A"}, true)
		l.ResourceVersion, l.Others, l.Surface, l.All = "2", "someone", "s", "a"
		return d, l
	}
	for name, c := range map[string]struct {
		change func(*Desired, *Live)
		want   State
	}{
		"another's write":                    {func(*Desired, *Live) {}, Differs},
		"written under our name":             {func(_ *Desired, l *Live) { l.Doubt++ }, Look},
		"our entry is another":               {func(_ *Desired, l *Live) { l.Ours.Fields = "g" }, Look},
		"there is no entry of ours":          {func(_ *Desired, l *Live) { l.Ours.Fields, l.Compared.Fields = "", "" }, Look},
		"it carried another digest":          {func(_ *Desired, l *Live) { l.Compared.Claimed = "B" }, Look},
		"it carried another label":           {func(_ *Desired, l *Live) { l.Compared.Application = "shop-api" }, Look},
		"it carries another digest":          {func(_ *Desired, l *Live) { l.Digest, l.Compared.Claimed = "B", "B" }, Look},
		"our entry doesn't own all":          {func(_ *Desired, l *Live) { l.Compared.Unowned = []string{"/spec/paused"} }, Look},
		"it was held against another digest": {func(_ *Desired, l *Live) { l.Compared.Digest = "B" }, Look},
		"it was compared for another":        {func(_ *Desired, l *Live) { l.Compared.For = "shop-api" }, Look},
		"an application that is only observed": {func(d *Desired, l *Live) {
			d.Observe, l.Digest, l.Application, l.Compared.Claimed, l.Compared.Application = true, "", "", "", ""
		}, Differs},
		"nothing is written since, all is one": {func(_ *Desired, l *Live) { l.Compared.Signature = l.Signature() }, Differs},
	} {
		d, l := whole()
		c.change(&d, &l)
		if v := assess(d, l); v.State != c.want {
			t.Errorf("%s: got %+v, want %d", name, v, c.want)
		}
	}
}

// Without a comparison an object is the same only where its entry is the one
// that was learnt. What was just written is waited for until that is told.
func TestWhatIsWaitedForAfterAWrite(t *testing.T) {
	t.Parallel()
	every(5, func(on func(int) bool) {
		d := Desired{Object: web, Application: "shop-web", Target: "A", Before: "B", Settled: on(0), Overdue: on(1), Learnt: map[string]string{}}
		l := Live{Listed: true, Exists: true, Meta: Meta{UID: "u", Digest: "A", Application: "shop-web", Annotated: true, Ours: Entry{Fields: "f"}}}
		if on(2) {
			d.Learnt["A"] = "f"
		}
		if on(3) {
			d.Learnt["A"] = "g"
		}
		if on(4) { // stale: our entry has changed
			l = look(l, Verdict{Digest: "A"}, false)
			l.Compared.Fields, l.Compared.Signature = "h", "h"
		}
		want := Look
		switch {
		case d.Learnt["A"] == "f":
			want = Same
		case d.Learnt["A"] == "" && !on(4) && !d.Settled && !d.Overdue:
			want = Wait
		}
		if v := assess(d, l); v.State != want {
			t.Fatalf("%+v\n%+v: got %+v, want %d", d, l, v, want)
		}
	})
}

// A watch that is behind the applier's last write shows the digest that this was
// of: it is the same. Of another digest it shows nothing.
func TestAWatchThatIsBehindAWriteOfTheSame(t *testing.T) {
	t.Parallel()
	l := Live{Listed: true, Exists: true, Meta: Meta{UID: "u", ResourceVersion: "99", Digest: "A", Application: "shop-web", Ours: Entry{Fields: "f"}}}
	for before, want := range map[string]State{"A": Same, "B": Look} {
		d := Desired{Object: web, Application: "shop-web", Target: "A", Before: before, Wrote: "100", Learnt: map[string]string{"A": "f"}}
		if v := assess(d, l); v.State != want {
			t.Errorf("%s was applied last: got %+v", before, v)
		}
	}
}

// Where a verdict is of, and which write of ours was undone: what is older than
// it undoes nothing, nor does what shows no field of ours that is gone.
func TestWhatIsUndone(t *testing.T) {
	t.Parallel()
	versions := []string{"", "99", "100", "101"}
	every(4, func(on func(int) bool) {
		for _, wrote := range []string{"", "100"} {
			for _, version := range versions {
				for _, learnt := range []string{"", "f"} {
					d := Desired{Target: "A", Wrote: wrote, Learnt: map[string]string{"A": learnt}}
					l := Live{Exists: on(0), Gone: on(1)}
					l.Deleting, l.Ours.Fields = on(2), "f"
					if on(3) {
						l.Ours.Fields = "g"
					}
					at := wrote
					if l.Exists {
						l.ResourceVersion, at = version, version
					} else if l.Left = version; version != "" {
						at = version
					}
					want := ""
					switch {
					case wrote == "":
					case !l.Exists && l.Gone && (version == "" || version == "101"),
						l.Exists && version == "101" && (l.Deleting || learnt != "" && on(3)):
						want = wrote
					}
					if got := undone(d, l); got != want || place(d, l) != at {
						t.Fatalf("%+v\n%+v: undone %q at %q, want %q at %q", d, l, got, place(d, l), want, at)
					}
				}
			}
		}
	})
}

// The kind of a divergence is that of the weightiest difference.
func TestTheWeightiestDifferenceNamesTheKind(t *testing.T) {
	t.Parallel()
	every(5, func(on func(int) bool) {
		a := Difference{Absent: on(0), Ours: on(1)}
		b := Difference{Absent: on(2), Ours: on(3)}
		want := events.DivergenceChanged
		switch claimed := on(4); {
		case claimed && (a.Ours || b.Ours):
			want = events.DivergenceIntruded
		case a.Absent && b.Absent:
			want = events.DivergenceRemoved
		}
		if got := kindOf([]Difference{a, b}, on(4)); got != want {
			t.Errorf("%+v, %+v, claimed: %t: got %s, want %s", a, b, on(4), got, want)
		}
	})
}

func TestHowADivergenceEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		verdict Verdict
		want    string
	}{
		{Verdict{State: Undeclared, How: Withdrawn}, Withdrawn},
		{Verdict{State: Same, How: Reported, Ignored: 1, Owned: true}, Reported},
		{Verdict{State: Undeclared}, Declared},
		{Verdict{State: Same, Ignored: 1, Owned: true}, Ignored},
		{Verdict{State: Same, Owned: true}, Healed},
		{Verdict{State: Same}, Reverted},
	} {
		if got := how(c.verdict); got != c.want {
			t.Errorf("%+v: got %s, want %s", c.verdict, got, c.want)
		}
	}
}

// A newest bundle is settled where it is applied, or healthy, or what of it is
// held has not failed.
func TestWhatIsSettled(t *testing.T) {
	t.Parallel()
	now := Milestone{Sequence: 9, Digest: "A"}
	every(4, func(on func(int) bool) {
		p := Progress{Revision: 9, Bundle: 9, Rendered: now}
		for i, m := range []*Milestone{&p.Applied, &p.Completed, &p.Held, &p.Failed} {
			*m = Milestone{Sequence: 8, Digest: "A"} // of the bundle before
			if on(i) {
				*m = now
			}
		}
		if got, want := p.settled(), on(0) || on(1) || on(2) && !on(3); got != want {
			t.Errorf("%+v: settled: %t", p, got)
		}
	})
}

// A list shows an object as it was where the watch, or the applier's last
// write, knows more of the same object.
func TestWhatAListIsBehind(t *testing.T) {
	t.Parallel()
	every(2, func(on func(int) bool) {
		for _, wrote := range []string{"", "99", "100", "101"} {
			for _, version := range []string{"99", "100", "101"} {
				known := Live{Exists: on(0), Meta: Meta{UID: "u", ResourceVersion: version}}
				if on(1) {
					known.UID = "anew"
				}
				want := wrote == "101" || on(0) && !on(1) && version == "101"
				if got := outdated(Meta{UID: "u", ResourceVersion: "100"}, known, wrote); got != want {
					t.Errorf("%+v, wrote %q: outdated: %t", known, wrote, got)
				}
			}
		}
	})
}

// A body at hand is the object only in the version, and at the moment, that is
// judged.
func TestWhichBodyIsTheObject(t *testing.T) {
	t.Parallel()
	every(5, func(on func(int) bool) {
		body := &unstructured.Unstructured{}
		body.SetAPIVersion("apps/v1")
		body.SetKind("Deployment")
		body.SetUID("u")
		body.SetResourceVersion("7")
		live := Live{Exists: !on(0), Meta: Meta{UID: "u", ResourceVersion: "7"}}
		if on(1) {
			live.UID = "anew"
		}
		if on(2) {
			live.ResourceVersion = "8"
		}
		if on(3) {
			body.SetAPIVersion("apps/v1beta1")
		}
		if on(4) {
			body = nil
		}
		want := !on(0) && !on(1) && !on(2) && !on(3) && !on(4)
		if got := usable(body, live, web); got != want {
			t.Errorf("%+v: usable: %t", live, got)
		}
	})
}

// A divergence that was told persists, and isn't told again: only its end, or a
// write of ours that was undone after it began, is news.
func TestWhatPersistsIsToldOnce(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	known := Known{Phase: Persisted, Divergence: events.Divergence{Since: now.Add(-time.Hour), ResourceVersion: "100"}}
	for undone, want := range map[string]Step{"": Keep, "99": Keep, "100": Keep, "101": Resolve} {
		tr := advance(known, Verdict{State: Differs, Undone: undone}, time.Minute, now)
		if tr.Step != want || want == Keep && !tr.Wake.IsZero() {
			t.Errorf("undone %q: got %+v", undone, tr)
		}
	}
	known.Phase = Detected
	for lasted, want := range map[time.Duration]Transition{
		0:               {Wake: now.Add(time.Minute)},
		time.Minute - 1: {Wake: now.Add(1)},
		time.Minute:     {Step: Persist},
	} {
		known.Divergence.Since = now.Add(-lasted)
		if tr := advance(known, Verdict{State: Differs}, time.Minute, now); tr != want {
			t.Errorf("after %s: got %+v, want %+v", lasted, tr, want)
		}
	}
}
