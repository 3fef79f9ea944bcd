// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/test/binaries"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// testShape is that of the seeds that every test run plays.
var testShape = Shape{Apps: 12, Rounds: 6, Steps: 6}

// A few seeds, each with faults of its own, break nothing that is promised.
func TestSeeds(t *testing.T) {
	// Failpoints are in these programs, and the race detector isn't: seeds are
	// many processes for a short time.
	programs, err := binaries.Build(t.Context(), binaries.Kind{Tags: "failpoints"})
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := Select("", Possible())
	if err != nil {
		t.Fatal(err)
	}
	for _, seed := range []uint64{1, 2, 3} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel() // a seed mostly waits
			dir := t.TempDir()
			result, err := Run(t.Context(), Options{
				Setting: Setting{Dir: dir, Bin: programs, Cluster: kubelab.Lend(t), Has: Possible()},
				Seed:    seed, Shape: testShape, Faults: kinds, Log: logger{t},
			})
			if err != nil {
				t.Error(err)
			}
			for _, v := range result.Violations {
				t.Error(v)
			}
			for what, tally := range map[string]Tally{"writes": result.Judged.Writes, "fences": result.Judged.Fences} {
				if tally.Thin() {
					t.Errorf("too few %s were judged: %+v", what, tally)
				}
			}
			recoveries(t, result)
			t.Logf("judged: %+v", result.Judged)
			t.Logf("seed %d: %d ref changes, %d faults, %d events in %s", seed, result.RefChanges, result.Struck(), result.Events, result.Took)
			if t.Failed() {
				t.Logf("history: %s; again: %s", keep(t, result.History, seed), testShape.Again(seed, ""))
			}
		})
	}
}

// recoveries fails where a recovery is said to have ended before the last push
// of its round: what that asked for can't have been there.
func recoveries(t *testing.T, result Result) {
	t.Helper()
	history, err := ReadHistory(result.History)
	if err != nil {
		t.Fatal(err)
	}
	rounds := result.Rounds
	var begun, pushed time.Time
	for _, r := range history {
		switch {
		case r.Begun != nil:
			begun = r.At
		case r.Ref != nil:
			pushed = r.At
		case r.Quiet != nil && r.Quiet.Fault != "":
			if end := begun.Add(rounds[0].Held + rounds[0].Recovery); end.Before(pushed) {
				t.Errorf("%s recovered %s before the last push of its round", rounds[0].Fault, pushed.Sub(end))
			}
			rounds = rounds[1:]
		}
	}
}

// keep copies a history out of the test's folder.
func keep(t *testing.T, history string, seed uint64) string {
	t.Helper()
	text, err := os.ReadFile(history)
	kept := filepath.Join(os.TempDir(), fmt.Sprintf("plumbline-faults-seed-%d.jsonl", seed))
	if err == nil {
		err = os.WriteFile(kept, text, 0o600)
	}
	if err != nil {
		t.Error(err)
	}
	return kept
}

type logger struct{ t *testing.T }

func (l logger) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

var _ io.Writer = logger{}

// Equal seeds make equal plans, and others others.
func TestPlanComesFromItsSeed(t *testing.T) {
	kinds, err := Select("", Possible())
	if err != nil {
		t.Fatal(err)
	}
	shape := Shape{Apps: 24, Rounds: 12, Steps: 10}
	a, b := NewPlan(7, shape, kinds), NewPlan(7, shape, kinds)
	if !reflect.DeepEqual(a, b) || a.String() != b.String() {
		t.Error("two plans of one seed differ")
	}
	if a.String() == NewPlan(8, shape, kinds).String() {
		t.Error("two seeds have one plan")
	}
	if a.RefChanges() < 100 {
		t.Errorf("%d ref changes, want at least 100", a.RefChanges())
	}
}

// Where outages are to last, they do, with the same steps all over them, and
// nothing else of the plan is another.
func TestOutagesLast(t *testing.T) {
	kinds, err := Select("F6,F7,F15", Possible())
	if err != nil {
		t.Fatal(err)
	}
	shape := Shape{Apps: 12, Rounds: 12, Steps: 8}
	short := NewPlan(7, shape, kinds)
	shape.Hold = 10 * time.Minute
	long := NewPlan(7, shape, kinds)
	outages := map[string]bool{}
	for n, round := range long.Rounds {
		fault, _ := FaultNamed(round.Fault)
		if !fault.Outage {
			continue
		}
		outages[fault.Row] = true
		var spread time.Duration
		for i := range round.Steps[round.At:] {
			step, was := &round.Steps[round.At+i], short.Rounds[n].Steps[round.At+i]
			spread += step.Pause
			if (step.Pause == 0) != (was.Pause == 0) {
				t.Errorf("round %d: %s pauses for %s, not %s", n+1, step.About, step.Pause, was.Pause)
			}
			step.Pause = was.Pause
		}
		if round.Hold != shape.Hold || spread > 0 && (spread-shape.Hold).Abs() > time.Second {
			t.Errorf("round %d: %s is held for %s, and its steps take %s", n+1, round.Fault, round.Hold, spread)
		}
		long.Rounds[n].Hold = short.Rounds[n].Hold
	}
	if !outages["F6"] || !outages["F15"] || len(outages) != 2 {
		t.Errorf("outages of %v", outages)
	}
	if !reflect.DeepEqual(short, long) {
		t.Error("more than the outages is another")
	}
}

// Fifty seeds of make soak, wherever they begin, break everything twice, and
// fifty-five what is gravest often enough.
func TestEverySoakBreaksEverything(t *testing.T) {
	kinds, err := Select("", []Need{NeedFailpoints, NeedProxy, NeedCluster, NeedQuota, NeedClock})
	if err != nil {
		t.Fatal(err)
	}
	for _, first := range []uint64{1, 5001} {
		runs, rows, losses, changes, rounds := map[string]int{}, map[string]int{}, map[Loss]int{}, 0, 0
		for n := range uint64(55) {
			plan := NewPlan(first+n, Shape{Apps: 24, Steps: 10, Probes: 16}.During(45*time.Second), kinds)
			changes += plan.RefChanges()
			for _, round := range plan.Rounds {
				if round.Fault == "" {
					continue
				}
				fault, _ := FaultNamed(round.Fault)
				if n < 50 {
					runs[round.Fault]++
				}
				rows[fault.Row]++
				losses[fault.Loses]++
				rounds++
			}
		}
		for _, f := range kinds {
			if runs[f.Name] < 2 {
				t.Errorf("from %d on %s is drawn %d times", first, f.Name, runs[f.Name])
			}
		}
		for row := firstRow; row <= lastRow; row++ {
			name := fmt.Sprint("F", row)
			if left := leftOut[name] != ""; left != (name == "F9" || name == "F27") || left == (rows[name] > 0) {
				t.Errorf("from %d on row %s is broken %d times; left out: %q", first, name, rows[name], leftOut[name])
			}
		}
		if wipes := losses[LosesLog] + losses[LosesLogBeneath]; losses[LosesLog] < 5 || losses[LosesLogBeneath] < 5 || wipes < 20 || losses[RestoresLog] < 20 || changes < 5000 || rounds < 500 {
			t.Errorf("from %d on: %v, %d ref changes, %d faults", first, losses, changes, rounds)
		}
		t.Logf("from %d on: %v, %d ref changes, %d faults", first, losses, changes, rounds)
	}
}

// No snapshot of any plan declares one object twice: what is in the cluster
// would not be known then.
func TestPlansDeclareEachObjectOnce(t *testing.T) {
	kinds, err := Select("", Possible())
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(50) {
		plan := NewPlan(seed, Shape{Apps: 24, Rounds: 12, Steps: 7}, kinds)
		for _, step := range plan.steps() {
			if step.Tip == nil {
				continue
			}
			by := map[string]string{}
			for app, dir := range step.Tip.Dirs {
				for _, o := range dir.Objects {
					if other := by[o.Kind+o.Name]; other != "" {
						t.Fatalf("seed %d, step %d: %s and %s declare %s %s", seed, step.Number, app, other, o.Kind, o.Name)
					}
					by[o.Kind+o.Name] = app
				}
			}
		}
	}
}
