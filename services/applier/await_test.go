// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbline-dev/plumbline/events"
)

func TestDecideDeletesNothingWhileItAwaitsAnother(t *testing.T) {
	t.Parallel()
	waited, guarded := 0, 0
	for seed := range uint64(700) {
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
				if !reflect.DeepEqual(free, plan) {
					t.Fatalf("seed %d: where nothing is deleted it changes the plan: %s", seed, cmp.Diff(free, plan))
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
	theirs := claims{keys: map[string]bool{}, line: main, commit: "c0", at: events.Order{Epoch: "e", Sequence: 2}, declaration: "decl"}
	mine := claims{line: main, commit: "c0", at: events.Order{Epoch: "e", Sequence: 1}}
	unseen, undeclared, held := theirs, theirs, events.FleetEntry{DeclarationDigest: "refused", Held: true}
	unseen.keys, undeclared.declaration = nil, ""
	if unseen.known(events.FleetEntry{DeclarationDigest: "decl"}, mine, "e", 0) || undeclared.known(events.FleetEntry{}, mine, "e", 0) {
		t.Error("who was never looked at, or declared, is known")
	}
	if !theirs.known(held, mine, "e", 0) {
		t.Error("of who is held to its last declaration nothing newer will be known")
	}
}

// Whoever gets the same commits is waited for without an end, and everybody
// while a list doesn't say what they follow; nobody else.
func TestWhoIsNotKnownHoldsWhom(t *testing.T) {
	t.Parallel()
	mine := line{"mono", "refs/heads/main"}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ages := []time.Duration{0, time.Second, awaitPatience - 1, awaitPatience, time.Minute, awaitOutcome - 1, awaitOutcome, 24 * time.Hour}
	for _, theirs := range []line{mine, {"mono", "refs/heads/next"}, {"other", "refs/heads/main"}, {}} {
		for _, observed := range []bool{false, true} {
			for _, invalid := range []bool{false, true} {
				for _, unknown := range []string{"", "why"} {
					for _, age := range ages {
						held := true
						for _, waited := range ages {
							s := standing{unknown: unknown, invalid: invalid, observed: observed, line: theirs, since: now.Add(-age)}
							got := s.holds(mine, waited, awaitPatience, now)
							want := unknown != "" && !invalid
							if theirs != mine && theirs.repository != "" {
								want = want && (age < awaitPatience || observed && (age < awaitOutcome || waited < awaitOutcome))
							}
							if got != want {
								t.Fatalf("%+v, %s old, waited %s: %t", s, age, waited, got)
							}
							if got && !held {
								t.Fatalf("%+v: it holds again", s)
							}
							held = got
						}
					}
				}
			}
		}
	}
}

func TestAListSaysSinceWhenAnApplicationIsDeclaredSo(t *testing.T) {
	t.Parallel()
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	list := func(epoch string, digests ...string) *fleetList {
		f := &fleetList{epoch: epoch, entries: map[string]events.FleetEntry{}}
		for i, d := range digests {
			f.entries[string(rune('a'+i))] = events.FleetEntry{DeclarationDigest: d}
		}
		return f
	}
	first, second, third := list("e", "1", "1"), list("e", "1", "2", "1"), list("f", "1")
	first.learnt(nil, at(1))
	second.learnt(first, at(2))
	third.learnt(second, at(3))
	for i, c := range []struct {
		got  *fleetList
		want map[string]time.Time
	}{
		{first, map[string]time.Time{"a": at(1), "b": at(1)}},
		{second, map[string]time.Time{"a": at(1), "b": at(2), "c": at(2)}},
		{third, map[string]time.Time{"a": at(3)}},
	} {
		if diff := cmp.Diff(c.want, c.got.since); diff != "" {
			t.Errorf("list %d: %s", i+1, diff)
		}
	}
}

func TestTheSoonestRetryCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // no retry does anything
		a := &applier{ctx: ctx, applications: map[string]*application{}}
		app := a.application("shop")
		in := func(want time.Duration) {
			t.Helper()
			app.mu.Lock()
			defer app.mu.Unlock()
			if got := time.Until(app.retryAt); got != want {
				t.Errorf("the retry is in %s, want %s", got, want)
			}
		}
		a.later("shop", 3*time.Second)
		a.later("shop", time.Minute)
		in(3 * time.Second)
		a.later("shop", time.Second)
		in(time.Second)
		time.Sleep(2 * time.Second) // of the bubble: the retry is over
		synctest.Wait()
		a.later("shop", time.Minute)
		in(time.Minute)
		a.withdrawIn(app, nil, time.Second) // what was declared is not any more
		a.later("shop", time.Hour)
		in(time.Hour)
		app.retry.Stop()
	})
}
