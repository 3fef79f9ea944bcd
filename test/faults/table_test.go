// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The table names every row of the matrix, sums up by kind, and keeps the
// results of other commits out.
func TestTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl")
	for n, commit := range []string{"c1", "c0", "c1"} {
		r := Result{Seed: uint64(n), Commit: commit, Machine: "a machine", RefChanges: 100, Judged: Judged{Writes: Tally{50, 2, 1}}, Told: Told{7, 3, 5}, Accounts: map[Account]int{AccountApplied: 3, AccountLost: 1}, Rounds: []RoundResult{
			{Row: "F3", Fault: "kill-applier", RefChanges: 10, Held: time.Duration(n) * time.Minute, Recovery: time.Duration(n+1) * time.Second, Struck: true, Loses: LosesLog},
			{Row: "F3", Fault: "kill-applier", RefChanges: 7, Held: time.Hour, Recovery: time.Hour, Loses: LosesLog},
		}}
		if n == 2 {
			r.Violations = []Violation{{Invariant: "I1", Fault: "kill-applier", Row: "F3"}}
			r.Error = "close the rig:\nit goes on"
		}
		if err := AppendResult(path, r); err != nil {
			t.Fatal(err)
		}
	}
	results, err := ReadResults(path, "c1")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := WriteTable(&b, results, "make soak"); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{"| seeds | 2 |", "| ref changes | 200 |", "| revisions observed | 8 |", "| – applied | 6 |", "| – lost | 2 |", "| – held | 0 |", "| **violations** | **1** |", "| 2 | 2 | 20 | 1 | 2m0s | 1s | 3s |", "| faults | 2 |", "| writes judged | 100 |\n| – not judged, as what it takes was lost on purpose | 4 |\n| – not judged else | 2 |", "server stopped | 2 |", "| divergences told of | 14 |\n| – for longer than their window | 6 |\n| alerts that people were told | 10 |\n", "\nI7: beside nothing nothing;", "Commit `c1`, on a machine", "could not be played to the end: 1\n\n- seed 2: close the rig:; it goes on\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
	for row := firstRow; row <= lastRow; row++ {
		if !strings.Contains(text, fmt.Sprintf("\n| F%d |", row)) {
			t.Errorf("the table lacks row F%d", row)
		}
	}
}

// Kinds have names of their own and rows of the matrix.
func TestFaultsAreNamed(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Faults {
		if f.Name == "" || f.About == "" || seen[f.Name] || strings.ContainsAny(f.Name, ", ") {
			t.Errorf("%+v: want a name of its own and a line about it", f)
		}
		seen[f.Name] = true
		var row int
		if n, err := fmt.Sscanf(f.Row, "F%d", &row); n != 1 || err != nil || row < firstRow || row > lastRow {
			t.Errorf("%s: row %q", f.Name, f.Row)
		}
		if f.Inject == nil && f.Shape == nil {
			t.Errorf("%s does nothing", f.Name)
		}
	}
}

// A repeated delivery is judged where nothing else happens: some kind is quiet,
// and no step of its rounds comes before its end.
func TestARepeatedDeliveryIsPlayedAtRest(t *testing.T) {
	kinds, err := Select("", Possible())
	if err != nil {
		t.Fatal(err)
	}
	quiet := 0
	for seed := range uint64(20) {
		for _, round := range NewPlan(seed, Shape{Apps: 12, Steps: 8}.During(45*time.Second), kinds).Rounds {
			if fault, _ := FaultNamed(round.Fault); fault.Quiet {
				quiet++
				if len(round.Steps) > 0 {
					t.Errorf("seed %d: %s is played beside %d steps", seed, fault.Name, len(round.Steps))
				}
			}
		}
	}
	if quiet == 0 {
		t.Error("no kind that is played is quiet")
	}
}
