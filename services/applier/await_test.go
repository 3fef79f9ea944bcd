// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbline-dev/plumbline/events"
)

func TestDecideDeletesNothingWhileItAwaitsAnother(t *testing.T) {
	t.Parallel()
	waited, guarded := 0, 0
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 5))
		w := newWorld()
		for sequence := uint64(1); sequence <= 8; sequence++ {
			desired := someBundle(r, sequence)
			policy := Policy{Prune: true, Heal: true}
			w.disturb(r)
			live, memory := w.copyOf()
			free := decide(desired, live, memory, policy, time.Time{})
			policy.Awaited = &Awaited{Application: "other", Why: "it is not rendered", Said: r.IntN(2) == 0}
			plan := decide(desired, live, memory, policy, time.Time{})
			if !free.deletes() {
				guarded++
				if diff := cmp.Diff(free, plan); diff != "" {
					t.Fatalf("seed %d: where nothing is deleted it changes the plan: %s", seed, diff)
				}
			} else {
				waited++
				checkAwaiting(t, desired, live, memory, policy, free, plan)
			}
			w.apply(desired, free)
		}
	}
	if waited < 500 || guarded < 500 {
		t.Errorf("only %d plans waited, %d didn't have to", waited, guarded)
	}
}

// checkAwaiting compares a plan that waits with the one that doesn't.
func checkAwaiting(t *testing.T, desired Desired, live map[string]Live, memory Memory, policy Policy, free, plan Plan) {
	t.Helper()
	if plan.deletes() || plan.Hold == nil || plan.Awaited == nil || plan.Hold.Reason != events.ReasonClaimUnknown {
		t.Fatalf("it doesn't wait:\n%s", plan)
	}
	if plan.quiet() == policy.Awaited.Said || plan.Settled() && plan.quiet() {
		t.Fatalf("said: %+v", plan.Awaited)
	}
	if !slices.EqualFunc(free.Steps, plan.Steps, func(a, b Step) bool {
		return a.Object == b.Object && (a.Op == b.Op || a.Op == OpDelete && b.Op == OpHold)
	}) {
		t.Fatalf("more than the deletions waits:\n%s\n%s", free, plan)
	}
	inv := Inventory{Application: app, Fence: memory.Fence, Entries: memory.Entries}
	settled := inv.Widen(desired, plan, KeptPolicy{}).Settle(plan, map[string]Result{})
	for _, s := range free.Steps {
		e, kept := settled.Entries[s.Key()]
		if s.Op == OpDelete && (!kept || e.Awaiting == plan.quiet() || e.Held != memory.Entries[s.Key()].Held) {
			t.Fatalf("%s: %+v", s.Object, e)
		}
	}
	if settled.Fence.Applied && plan.quiet() {
		t.Fatal("applied, although it waits without a word")
	}
	if !plan.quiet() {
		policy.Awaited = &Awaited{Application: "other"}
		if again := decide(desired, live, settled.memory(), policy, time.Time{}); again.quiet() {
			t.Fatalf("what people were told is a moment's wait again:\n%s", again)
		}
	}
	approved := inv.release(plan, desired.Digest)
	if let := decide(desired, live, approved.memory(), policy, time.Time{}); !slices.EqualFunc(free.Steps, let.Steps, func(a, b Step) bool { return a.Op == b.Op }) {
		t.Fatalf("an approval doesn't let it go:\n%s", let)
	}
	other := desired
	other.Digest += "'"
	if let := decide(other, live, approved.memory(), policy, time.Time{}); let.deletes() {
		t.Fatalf("an approval lets another bundle's go:\n%s", let)
	}
}

// The model: commits of a line come to two applications, each renders them
// when it does, some not at all.
func TestClaimsAreKnownOnlyOfTheSameCommitOrALaterOne(t *testing.T) {
	t.Parallel()
	commits := []string{"c0", "c1", "c2", "c3"}
	main, release := line{"mono", "refs/heads/main"}, line{"mono", "refs/heads/release"}
	known, unknown := 0, 0
	for mine := range commits {
		for theirs := range commits {
			for _, before := range []bool{false, true} { // whose revision of a commit is observed first
				for _, on := range []line{main, release} {
					for _, epoch := range []string{"e", "d"} {
						for _, declared := range []string{"decl", "new", ""} {
							for checked := range uint64(12) {
								at := func(n int, first bool) events.Order {
									return events.Order{Epoch: "e", Sequence: uint64(2*n + 2 - map[bool]int{true: 1}[first])}
								}
								a := claims{line: main, commit: commits[mine], at: at(mine, !before)}
								b := claims{keys: map[string]bool{}, line: on, commit: commits[theirs], at: at(theirs, before), declaration: "decl", checked: checked}
								b.at.Epoch = epoch
								need := a.at.Sequence
								got := b.known(events.FleetEntry{DeclarationDigest: declared}, a, "e", need)
								want := epoch == "e" && declared == "decl"
								if on == main {
									want = want && theirs >= mine
								} else {
									want = want && (b.at.Sequence >= need || checked >= need)
								}
								if got != want {
									t.Fatalf("mine %+v, theirs %+v, declared %q: %t", a, b, declared, got)
								}
								if got {
									known++
								} else {
									unknown++
								}
							}
						}
					}
				}
			}
		}
	}
	if known == 0 || unknown == 0 {
		t.Errorf("%d known, %d not", known, unknown)
	}
	if (claims{}).known(events.FleetEntry{}, claims{}, "", 0) {
		t.Error("who was never looked at is known")
	}
}
