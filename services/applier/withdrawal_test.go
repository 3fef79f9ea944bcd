// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbline-dev/plumbline/events"
)

// leavingApplication is a withdrawn application with some objects.
func leavingApplication(entries ...Entry) withdrawal {
	w := withdrawal{Inventory: Inventory{
		Application: "a", Fence: Fence{Epoch: "e", Sequence: 4, Digest: "bundle"},
		Kept: KeptPolicy{Deletion: events.DeletionDelete}, Entries: map[string]Entry{},
	}}
	for _, e := range entries {
		w.Entries[e.Key()] = e
	}
	return w
}

// What becomes of each object of a withdrawn application, beside another one
// that goes with it. Nothing is deleted that another application declares or
// that doesn't carry the label; and nothing without an approval of all that
// isn't let go yet, where a guard stands before any of it.
func TestWhatBecomesOfAWithdrawnObject(t *testing.T) {
	t.Parallel()
	mark := leavingApplication().mark()
	every([]int{2, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2}, func(c []int) {
		x, other := accepted(configMap("x")), accepted(configMap("other"))
		if c[6] == 1 {
			x.Kind = "PersistentVolumeClaim"
		}
		if c[5] == 1 {
			x.Released = mark
		}
		other.Released = []string{"bundle", mark}[c[10]] // an approval of a prune is another one
		w := leavingApplication(x, other)
		if c[3] == 1 {
			w.Kept.Deletion = events.DeletionOrphan
		}
		if c[7] == 1 {
			w.Reason, w.Message = events.ReasonWithdrawalGuard, "too many"
		}
		w.Kept.Withheld = c[8] == 1
		exists, label, claimed, deleting := c[0] == 1, []string{"a", "", "b"}[c[1]], []string{"", "b", "observer"}[c[2]], c[4] == 1
		live := map[string]Live{other.Key(): {UID: "uid-other"}}
		policy := withdrawalPolicy{
			labels:  map[string]string{other.Key(): "a"},
			claimed: map[string]string{}, observers: map[string]bool{"observer": true}, approved: "sha256:another",
		}
		if exists {
			live[x.Key()] = Live{UID: "uid-x", ResourceVersion: "7", Deleting: deleting}
			policy.labels[x.Key()] = label
		}
		if claimed != "" {
			policy.claimed[x.Key()] = claimed
		}
		hold := w.holdOf()
		if c[9] == 1 {
			policy.approved = hold
		}
		plan := planWithdrawal(w, live, policy)

		want, to := OpDelete, ""
		switch {
		case !exists:
			want = OpForget
		case label == "b":
			want, to = OpPass, "b"
		case claimed == "b" && label == "a" && w.Kept.Deletes():
			want, to = OpOffer, "b"
		case claimed != "":
			want, to = OpPass, claimed
		case label == "":
			want = OpOrphan
		case !w.Kept.Deletes():
			want = OpOrphan
		case deleting:
			want = OpWait
		}
		let := func(e Entry) bool { return policy.approved == hold || e.Released == mark }
		counts := want == OpDelete || want == OpOrphan && label == "a" && w.Reason != ""
		xWaits := counts && !let(x)
		otherGoes := OpDelete
		if !w.Kept.Deletes() {
			otherGoes = OpOrphan
		}
		otherWaits := !let(other) && (otherGoes == OpDelete || w.Reason != "")
		var reason events.Reason
		switch {
		case !xWaits && !otherWaits:
		case w.Reason != "":
			reason = w.Reason
		case xWaits && x.Kind == "PersistentVolumeClaim":
			reason = events.ReasonProtectedKind
		case w.Kept.Withheld:
			reason = events.ReasonWithdrawalGuard
		}
		if reason != "" && xWaits {
			want = OpHold
		}
		if reason != "" && otherWaits {
			otherGoes = OpHold
		}
		if diff := cmp.Diff(map[string]Op{"x": want, "other": otherGoes}, ops(plan)); diff != "" {
			t.Fatalf("%v: %s", c, diff)
		}
		for _, s := range plan.Steps {
			if s.Name == "x" && (s.To != to || exists && (s.UID != "uid-x" || s.ResourceVersion != "7")) {
				t.Fatalf("%v: got %+v", c, s)
			}
		}
		switch {
		case reason == "":
			if plan.Hold != nil {
				t.Fatalf("%v: got %+v", c, plan.Hold)
			}
		case plan.Hold == nil || plan.Hold.Reason != reason || plan.Hold.Digest != hold || plan.Hold.Message == "":
			t.Fatalf("%v: want %s, got %+v", c, reason, plan.Hold)
		}
	})
}

// A list of another life of the log counts for a withdrawal once all is
// proven, or somebody has approved it, or has let all of it go before.
func TestAnUnprovenListWaits(t *testing.T) {
	t.Parallel()
	x, y := accepted(configMap("x")), accepted(configMap("y"))
	let := func(e Entry) Entry {
		e.Released = leavingApplication().mark()
		return e
	}
	for _, c := range []struct {
		entries []Entry
		waits   bool
	}{{nil, true}, {[]Entry{x, y}, true}, {[]Entry{let(x), y}, true}, {[]Entry{x, let(y)}, true}, {[]Entry{let(x), let(y)}, false}} {
		for _, unproven := range []string{"", "b"} {
			w := leavingApplication(c.entries...)
			w.Unproven = unproven
			for approved, waits := range map[string]bool{"": true, "sha256:another": true, w.holdOf(): false} {
				if got := w.waits(approved); got != (unproven != "" && waits && c.waits) {
					t.Errorf("unproven: %q, approved: %t, %v: waits: %t", unproven, !waits, c.entries, got)
				}
			}
		}
	}
}

// What people let go of is this application, at this bundle, and what of it
// isn't let go yet.
func TestAWithdrawalsHoldNamesWhatIsLeft(t *testing.T) {
	t.Parallel()
	x, y := accepted(configMap("x")), accepted(configMap("y"))
	let := leavingApplication(x, y)
	let.Inventory = let.release(Plan{Steps: []Step{{Object: x.Object, Op: OpDelete}}})
	renamed, moved := leavingApplication(x, y), leavingApplication(x, y)
	renamed.Application, moved.Fence.Digest = "b", "next"
	seen := map[string]int{}
	for i, w := range []withdrawal{leavingApplication(), leavingApplication(x), leavingApplication(y), leavingApplication(x, y), renamed, moved} {
		if before, twice := seen[w.holdOf()]; twice {
			t.Errorf("%d and %d are one hold", before, i)
		}
		seen[w.holdOf()] = i
	}
	if let.holdOf() != leavingApplication(y).holdOf() {
		t.Error("what was let go is asked for again")
	}
}

// What a plan lets go is marked, but for what is offered to another one; the
// rest of it then meets no guard.
func TestReleaseMarksWhatAPlanLetsGo(t *testing.T) {
	t.Parallel()
	for _, op := range allOps {
		x := accepted(configMap("x"))
		w := leavingApplication(x)
		w.Kept.Withheld = true
		before := maps.Clone(w.Entries)
		plan := Plan{Steps: []Step{{Object: x.Object, Op: op}}}
		if got := w.unreleased(plan); got != (op == OpDelete) {
			t.Errorf("%s: unreleased: %t", op, got)
		}
		inv := w.release(plan)
		if !maps.EqualFunc(w.Entries, before, Entry.equal) || !w.Kept.Withheld {
			t.Fatal("the inventory itself was changed")
		}
		after := withdrawal{Inventory: inv}
		if after.released(inv.Entries[x.Key()]) != (op != OpOffer) || inv.Kept.Withheld {
			t.Errorf("%s: got %+v", op, inv)
		}
		if after.unreleased(plan) {
			t.Errorf("%s: it is to be let go again", op)
		}
	}
}

// In a new life of the log a list proves a withdrawal when each application
// that it names and that has an inventory was compared in that life, is held by
// the watcher, or is only observed. Of those that weren't, the first is told.
func TestWhatProvesAListOfANewLog(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b"}
	every([]int{2, 2, 2, 2, 2, 2, 2, 3}, func(c []int) {
		f := fleetList{epoch: "f", stored: 7, entries: map[string]events.FleetEntry{}}
		var invs []Inventory
		unproven := ""
		for i, name := range names { // compared, held, observed
			proven := false
			inv := Inventory{Application: name, Fence: Fence{Epoch: "f", Sequence: 1, Compared: c[3*i] == 1}}
			if c[3*i+1] == 1 {
				f.entries[name] = events.FleetEntry{Held: true}
				proven = true
			} else {
				f.entries[name] = events.FleetEntry{}
			}
			if c[3*i+2] == 1 {
				inv.Kept.Mode = events.ModeObserve
				proven = true
			}
			proven = proven || inv.Fence.Compared
			if !proven && unproven == "" {
				unproven = name
			}
			invs = append(invs, inv)
		}
		gone := Inventory{Application: "gone", Fence: Fence{Epoch: "f", Sequence: uint64(6 + c[7])}}
		if c[6] == 1 {
			gone.Fence.Epoch = "e"
		}
		invs = append(invs, gone)
		if c[7] == 1 {
			invs[0], invs[1] = invs[1], invs[0]
		}
		got := ""
		for _, w := range decideWithdrawals(f, invs) {
			got += fmt.Sprint(w.Application, "?", w.Unproven)
		}
		want := "gone?"
		switch {
		case c[6] == 1:
			want += unproven
		case c[7] == 2: // its revision is newer than the list
			want = ""
		}
		if got != want {
			t.Fatalf("%v: got %q, want %q", c, got, want)
		}
	})
}
