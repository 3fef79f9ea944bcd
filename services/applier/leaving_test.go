// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbline-dev/plumbline/events"
)

func configMap(name string) events.Object {
	return events.Object{Version: "v1", Kind: "ConfigMap", Namespace: "ns", Name: name}
}

// leavingWorld is what decide is asked where some objects of an inventory of
// the bundle "next" are no longer declared, and all of them are there.
func leavingWorld(entries ...Entry) (Desired, map[string]Live, Memory) {
	desired := Desired{Application: app, Order: events.Order{Epoch: "e", Sequence: 5}, Digest: "next", Declaration: "decl", Complete: true}
	live := map[string]Live{}
	memory := Memory{Fence: Fence{Epoch: "e", Sequence: 4, Digest: "bundle", Compared: true, Applied: true}, Entries: map[string]Entry{}}
	for _, e := range entries {
		memory.Entries[e.Key()] = e
		live[e.Key()] = Live{UID: e.UID, ResourceVersion: "7", Owner: app, Digest: e.Digest, Fields: e.Fields}
	}
	return desired, live, memory
}

func accepted(o events.Object) Entry {
	return Entry{Object: o, Digest: "v1", UID: "uid-" + o.Name, Fields: "f"}
}

// An object that is no longer declared is deleted by a whole bundle, the newest
// of this life of the log, after a full compare, where prune is on, it carries
// our label, and nobody else declares it. In all other cases it stays.
func TestDecideOfAnObjectThatIsNoLongerDeclared(t *testing.T) {
	t.Parallel()
	deleted := 0
	every([]int{2, 3, 3, 2, 2, 3, 2, 2, 2, 3}, func(c []int) {
		e := accepted(configMap("a"))
		e.Offered = []string{"", "b", "observer"}[c[9]]
		desired, live, memory := leavingWorld(e)
		exists, owner, claimed := c[0] == 1, []string{app, "", "b"}[c[1]], []string{"", "b", "observer"}[c[2]]
		prune, whole, compared, deleting := c[3] == 1, c[4] == 1, c[7] == 1, c[8] == 1
		desired.Order.Sequence += uint64(c[5]) - 2 // older, the same again, newer
		desired.Complete, memory.Fence.Compared = whole, compared
		anotherLife := c[6] == 1
		if anotherLife {
			desired.Order.Epoch = "f"
		}
		l := live[e.Key()]
		l.Owner, l.Deleting = owner, deleting
		live[e.Key()] = l
		if !exists {
			delete(live, e.Key())
		}
		policy := Policy{Prune: prune, Claimed: map[string]string{e.Key(): claimed}, Observers: map[string]bool{"observer": true}}
		plan := decide(desired, live, memory, policy, time.Time{})
		var want Op
		locked := false
		switch {
		case !whole || c[5] == 0 && !anotherLife:
			want = OpKeep
		case !exists:
			want = OpForget
		case claimed == "b" && owner == app:
			want = OpOffer
		case claimed != "":
			want = OpPass
		case owner != app:
			want = OpOrphan
		case !prune:
			want = OpKeep
		case anotherLife || !compared:
			want, locked = OpKeep, true
		case deleting:
			want = OpWait
		default:
			want = OpDelete
			deleted++
		}
		if len(plan.Steps) != 1 || plan.Hold != nil || plan.Locked != locked {
			t.Fatalf("%v: locked: %t, held: %+v\n%s", c, plan.Locked, plan.Hold, plan)
		}
		s := plan.Steps[0]
		to := ""
		if want == OpOffer || want == OpPass {
			to = claimed
		}
		if s.Op != want || s.To != to || s.Stands != (to != "" && to == e.Offered) || exists && (s.UID != "uid-a" || s.ResourceVersion != "7") {
			t.Fatalf("%v: want %s to %q, got %+v", c, want, to, s)
		}
	})
	if deleted != 2*3 {
		t.Errorf("deleted in %d cases", deleted)
	}
}

// The share that a guard lets go is one of what was applied, not of what an
// inventory was only widened by; and it counts what is deleted, not what else
// leaves.
func TestTheGuardsShareIsOfWhatWasApplied(t *testing.T) {
	t.Parallel()
	every([]int{9, 3, 9, 2}, func(c []int) {
		owned, widened, going, gone := c[0], c[1], c[2], c[3]
		if going+gone > owned {
			return
		}
		var entries []Entry
		for i := range owned + widened {
			e := accepted(configMap(fmt.Sprint("o", i)))
			if i >= owned {
				e.UID = ""
			}
			entries = append(entries, e)
		}
		desired, live, memory := leavingWorld(entries...)
		for i, e := range entries {
			switch {
			case i < going:
			case i < going+gone:
				delete(live, e.Key())
			default:
				desired.Objects = append(desired.Objects, Target{Object: e.Object, Digest: "v1"})
			}
		}
		plan := decide(desired, live, memory, Policy{Prune: true}, time.Time{})
		held := owned > 4 && going > owned-going
		if (plan.Hold != nil) != held || plan.deletes() != (going > 0 && !held) {
			t.Fatalf("%d of %d objects go, %d are gone, %d never were: held: %t\n%s", going, owned, gone, widened, plan.Hold != nil, plan)
		}
		if held && (plan.Hold.Reason != events.ReasonPruneGuard || len(plan.Hold.Objects) != going) {
			t.Fatalf("got %+v", plan.Hold)
		}
	})
}

// One object of a protected kind holds all that goes with it, however few they
// are. A kind of the same name in another group is another kind.
func TestAProtectedKindHoldsAllThatGoes(t *testing.T) {
	t.Parallel()
	for kind, held := range map[string]bool{
		"/Namespace": true, "/PersistentVolume": true, "/PersistentVolumeClaim": true,
		"apiextensions.k8s.io/CustomResourceDefinition": true,
		"example.com/Namespace":                         false, "example.com/PersistentVolumeClaim": false, "/CustomResourceDefinition": false,
		"apps/Deployment": false, "/Secret": false,
	} {
		for _, name := range []string{"0", "z"} { // it is the first of them, or the last
			o := events.Object{Version: "v1", Name: name}
			for i := range kind {
				if kind[i] == '/' {
					o.Group, o.Kind = kind[:i], kind[i+1:]
				}
			}
			desired, live, memory := leavingWorld(accepted(o), accepted(configMap("a")))
			plan := decide(desired, live, memory, Policy{Prune: true}, time.Time{})
			if (plan.Hold != nil) != held || plan.deletes() == held {
				t.Errorf("%s: held: %+v\n%s", kind, plan.Hold, plan)
			}
			if held && (plan.Hold.Reason != events.ReasonProtectedKind || len(plan.Hold.Objects) != 2) {
				t.Errorf("%s: got %+v", kind, plan.Hold)
			}
		}
	}
}

// A deletion that a guard holds is let go by an approval of this very bundle
// and of every object of it, and one that waits for another application is let
// go by an approval of that wait; neither by the other.
func TestOnlyItsOwnApprovalLetsADeletionGo(t *testing.T) {
	t.Parallel()
	digests := []string{"next", "bundle", ""} // this bundle's, the one before, none
	every([]int{2, 3, 3, 3, 2, 2, 2, 3, 2}, func(c []int) {
		a, b, gone := accepted(configMap("a")), accepted(configMap("b")), accepted(configMap("gone"))
		if c[8] == 1 {
			b.Kind = "PersistentVolumeClaim"
		}
		a.Held, a.Released, a.Waived, a.Awaiting = c[0] == 1, digests[c[1]], digests[c[2]], c[3] == 1
		b.Held, b.Released, b.Waived, b.Awaiting = c[4] == 1, digests[c[5]], digests[c[6]], c[3] == 2
		desired, live, memory := leavingWorld(a, b, gone)
		delete(live, gone.Key())
		policy := Policy{Prune: true}
		if c[7] > 0 {
			policy.Awaited = &Awaited{Application: "other", Said: c[7] == 2}
		}
		said := policy.Awaited != nil && policy.Awaited.Said
		plan := decide(desired, live, memory, policy, time.Time{})

		released, waived := c[1] == 0 && c[5] == 0, c[2] == 0 && c[6] == 0
		guarded := c[8] == 1 || a.Held && a.Released != "next" || b.Held && b.Released != "next"
		want := map[string]Op{"a": OpDelete, "b": OpDelete, "gone": OpForget}
		waits := false
		switch {
		case guarded && !released:
			want["a"], want["b"] = OpHold, OpHold
		case policy.Awaited != nil && !waived:
			want["a"], want["b"] = OpHold, OpHold
			waits = true
		}
		if diff := cmp.Diff(want, ops(plan)); diff != "" {
			t.Fatalf("%+v\n%+v\n%s", a, b, diff)
		}
		held := want["a"] == OpHold
		if (plan.Hold != nil) != held || (plan.Awaited != nil) != waits {
			t.Fatalf("%+v\n%+v\nheld: %+v, awaited: %+v", a, b, plan.Hold, plan.Awaited)
		}
		if policy.Awaited != nil && policy.Awaited.Said != said {
			t.Fatal("the policy was changed")
		}
		if !held {
			return
		}
		of, reason := "next", events.ReasonPruneGuard
		switch {
		case waits:
			of, reason = "unclaimed next", events.ReasonClaimUnknown
			if plan.Awaited.Said != (said || a.Awaiting || b.Awaiting) {
				t.Fatalf("%+v\n%+v: got %+v", a, b, plan.Awaited)
			}
		case c[8] == 1:
			reason = events.ReasonProtectedKind
		}
		objs := []events.Object{a.Object, b.Object}
		if plan.Hold.Digest != holdDigest(of, objs) || len(plan.Hold.Objects) != 2 || plan.Hold.Message == "" || plan.Hold.Reason != reason {
			t.Fatalf("got %+v", plan.Hold)
		}
	})
}

// What people approve is this bundle, and these objects: with one more, or one
// less, it is another hold. In what order they come says nothing.
func TestAHoldNamesItsBundleAndItsObjects(t *testing.T) {
	t.Parallel()
	a, b, c := configMap("a"), configMap("b"), configMap("c")
	want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("bundle\n"+a.Key()+"\n"+b.Key()+"\n")))
	for _, objs := range [][]events.Object{{a, b}, {b, a}} {
		if got := holdDigest("bundle", objs); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	seen := map[string]string{}
	for _, bundle := range []string{"bundle", "next", "unclaimed bundle", "withdrawn shop bundle"} {
		for _, objs := range [][]events.Object{nil, {a}, {b}, {a, b}, {a, c}, {a, b, c}} {
			digest, what := holdDigest(bundle, objs), fmt.Sprint(bundle, objs)
			if other, twice := seen[digest]; twice {
				t.Errorf("%s and %s are one hold", what, other)
			}
			seen[digest] = what
		}
	}
}

// An approval marks the objects of the hold that it names, and of them what
// that hold was for.
func TestAnApprovalMarksWhatItsHoldNames(t *testing.T) {
	t.Parallel()
	a, b := accepted(configMap("a")), accepted(configMap("b"))
	a.Released, a.Waived, a.Held = "released", "waived", true
	inv := Inventory{Entries: map[string]Entry{a.Key(): a, b.Key(): b}}
	before := maps.Clone(inv.Entries)
	for _, awaited := range []*Awaited{nil, {Said: true}} {
		want := a
		if awaited == nil {
			want.Released = "next"
		} else {
			want.Waived = "next"
		}
		got := inv.release(Plan{Awaited: awaited, Hold: &Hold{Objects: []events.Object{a.Object}}}, "next")
		if diff := cmp.Diff(map[string]Entry{a.Key(): want, b.Key(): b}, got.Entries); diff != "" {
			t.Errorf("awaited: %+v: %s", awaited, diff)
		}
	}
	if !maps.EqualFunc(inv.Entries, before, Entry.equal) {
		t.Error("the inventory itself was changed")
	}
}

// What keeps one uid under two keys is one object, and stays; an object that
// isn't there has no uid, and keeps nothing.
func TestOnlyADeclaredUIDKeepsAnObject(t *testing.T) {
	t.Parallel()
	leaving, nameless := accepted(configMap("a")), accepted(configMap("b"))
	nameless.UID = ""
	desired, live, memory := leavingWorld(leaving, nameless)
	created := configMap("new") // not there yet
	kept := configMap("kept")
	live[kept.Key()] = Live{UID: "uid-kept", Owner: app}
	desired.Objects = []Target{{Object: created, Digest: "v1"}, {Object: kept, Digest: "v1"}}
	plan := decide(desired, live, memory, Policy{Prune: true}, time.Time{})
	if got := ops(plan); got["a"] != OpDelete || got["b"] != OpDelete {
		t.Errorf("got\n%s", plan)
	}
	renamed := leaving.Object
	renamed.Group = "other.k8s.io" // the same object, served by two API groups
	live[renamed.Key()] = live[leaving.Key()]
	desired.Objects = append(desired.Objects, Target{Object: renamed, Digest: "v1"})
	for prune, want := range map[bool]Op{true: OpForget, false: OpKeep} {
		for _, s := range decide(desired, live, memory, Policy{Prune: prune}, time.Time{}).Steps {
			if s.Object == leaving.Object && s.Op != want {
				t.Errorf("prune: %t: under its old name it is to %s", prune, s.Op)
			}
		}
	}
	if uids := slices.Sorted(maps.Keys(declaredUIDs(plan.Steps))); !slices.Equal(uids, []string{"uid-kept"}) {
		t.Errorf("declared: %v", uids)
	}
}
