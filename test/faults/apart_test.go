// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// waits are results of several seeds, in which all waits are some milliseconds,
// and one in so many beside a fault takes longer.
func waits(seeds int, slow time.Duration, oneIn int) []Result {
	var all []Result
	for range seeds {
		var r Result
		for n := range 20 {
			usual := time.Duration(50+n) * time.Millisecond
			r.Waits.Calm = append(r.Waits.Calm, usual)
			if oneIn > 0 && n%oneIn == 0 {
				usual = slow
			}
			r.Waits.Beside = append(r.Waits.Beside, usual)
		}
		all = append(all, r)
	}
	return all
}

// busy has the machine be busy for a moment in one seed, which hits what is
// taken beside a fault there.
func busy(results []Result) []Result {
	for n := range results[0].Waits.Beside {
		results[0].Waits.Beside[n] = 5 * time.Second
	}
	return results
}

// I7 is decided over all seeds: it holds where the slowest per cent takes at most
// twice as long beside a fault, it is broken where it takes longer in seed after
// seed, and neither is said of too few, nor of what one seed alone has.
func TestIsolate(t *testing.T) {
	for name, c := range map[string]struct {
		results       []Result
		holds, broken bool
		says          string
	}{
		"as quick":           {waits(20, 0, 0), true, false, "I7 holds"},
		"a little slower":    {waits(20, 130*time.Millisecond, 5), true, false, "I7 holds"},
		"five times as slow": {waits(20, 350*time.Millisecond, 5), false, true, "I7 is broken"},
		"slow now and then":  {waits(20, 350*time.Millisecond, 20), false, true, "I7 is broken"},
		"in one seed alone":  {busy(waits(20, 0, 0)), false, false, "not decided"},
		"too few":            {waits(3, 350*time.Millisecond, 5), false, false, "too few"},
		"none":               {nil, false, false, "too few"},
	} {
		if got := Isolate(c.results); got.Holds() != c.holds || got.Broken() != c.broken || !strings.Contains(got.String(), c.says) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A wait is from the push until the object has the value, or a later one. Beside
// a fault that met nothing there is none.
func TestWaits(t *testing.T) {
	at := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	var h History
	push := func(ms int, value string, beside bool) {
		h = append(h, Record{At: at.Add(time.Duration(ms) * time.Millisecond), Ref: &RefChange{Probe: &Probe{App: "shop", Key: "k", Value: value, Beside: beside}}})
	}
	seen := func(ms int, key, value string) {
		h = append(h, Record{At: at.Add(time.Duration(ms) * time.Millisecond), Object: &State{Key: key, Fields: map[string]string{"data.a": value}}})
	}
	push(0, "one", false)
	seen(10, "other", "one")
	seen(20, "k", "zero")
	seen(50, "k", "one")
	push(100, "two", true)
	push(150, "three", true)
	seen(300, "k", "three")
	seen(400, "k", "two")
	h = append(h, Record{Begun: &FaultRun{Round: 1}})
	push(500, "four", true)
	h = append(h, Record{Lifted: &FaultRun{Round: 1, Struck: true}})
	seen(510, "k", "four")
	h = append(h, Record{Begun: &FaultRun{Round: 2}})
	push(600, "five", true)
	h = append(h, Record{Lifted: &FaultRun{Round: 2}})
	seen(699, "k", "five")
	got := WaitsOf(h)
	ms := time.Millisecond
	if !slices.Equal(got.Calm, []time.Duration{50 * ms}) || !slices.Equal(got.Beside, []time.Duration{200 * ms, 150 * ms, 10 * ms}) {
		t.Errorf("got %+v", got)
	}
}

// A seed of the soak has changes of applications that have nothing to do with
// the fault beside them, and as many beside none.
func TestPlansHoldAFaultApart(t *testing.T) {
	kinds, err := Select("", Possible())
	if err != nil {
		t.Fatal(err)
	}
	victims := map[string]bool{}
	for seed := range uint64(40) {
		plan := NewPlan(seed, Shape{Apps: 24, Rounds: 3, Steps: 6, Probes: 16}, kinds)
		calm, beside := 0, 0
		apps := map[string]App{}
		for _, app := range plan.Apps {
			apps[app.Name] = app
		}
		for _, round := range plan.Rounds[:2*windows+1] {
			for _, step := range round.Steps {
				if step.Probe == nil {
					continue
				}
				if step.Probe.Beside != (round.Victim != nil) {
					t.Errorf("seed %d: %s is in the wrong round", seed, step)
				}
				if round.Victim == nil {
					calm++
					continue
				}
				beside++
				fault, _ := FaultNamed(round.Fault)
				victims[round.Fault] = true
				app := apps[step.Probe.App]
				if !fault.Alone || app.ref() == round.Victim.ref() || app.Namespace == round.Victim.Namespace {
					t.Errorf("seed %d: %s is beside %s of %s", seed, step, round.Fault, round.Victim.Name)
				}
			}
		}
		if calm != 16 || beside != 16 {
			t.Errorf("seed %d: %d and %d changes", seed, calm, beside)
		}
	}
	for _, f := range kinds {
		if f.Alone && !victims[f.Name] {
			t.Errorf("no seed has %s apart", f.Name)
		}
	}
}

// In every round of a webhook something is changed that it is asked about: where
// the fault is of one application, of that one.
func TestPlansAskTheWebhooks(t *testing.T) {
	kinds, err := Select("F21", nil)
	if err != nil {
		t.Fatal(err)
	}
	apart := 0
	for seed := range uint64(40) {
		plan := NewPlan(seed, Shape{Apps: 24, Rounds: 3, Steps: 6, Probes: 16}, kinds)
		namespace := map[string]string{}
		for _, step := range plan.steps() {
			for _, app := range step.Apps {
				namespace[app.Name] = app.Namespace
			}
		}
		for n, round := range plan.Rounds {
			if round.Fault == "" {
				continue
			}
			asked := map[string]bool{}
			for _, step := range round.Steps[round.At:] {
				if step.Op != OpCommit || step.Tip.Parent == nil {
					continue
				}
				for app, is := range step.Tip.Dirs {
					was := step.Tip.Parent.Dirs[app]
					if i := is.first("ConfigMap"); was != is && is.Broken == "" && i >= 0 && !reflect.DeepEqual(was.find("ConfigMap", is.Objects[i].Name), &is.Objects[i]) {
						asked[app], asked[namespace[app]] = true, true
					}
				}
			}
			want := plan.Namespaces
			if round.Victim != nil {
				want = []string{round.Victim.Name}
				apart++
			}
			for _, name := range want {
				if !asked[name] {
					t.Errorf("seed %d, round %d: nothing of %s is changed while the webhook stands", seed, n+1, name)
				}
			}
		}
	}
	if apart == 0 {
		t.Error("no webhook is of one application")
	}
}
