// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"maps"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbline-dev/plumbline/events"
)

var allOps = []Op{OpCreate, OpUpdate, OpAdopt, OpKeep, OpWait, OpDelete, OpHold, OpPass, OpOffer, OpOrphan, OpForget}

// declares says whether an op may be of an object that is declared, and of one
// that isn't.
func declares(op Op) (declared, leaving bool) {
	switch op {
	case OpKeep, OpWait:
		return true, true
	}
	return op.Writes(), !op.Writes()
}

// Before a plan is carried out, its inventory knows every object that is
// written, and what a guard or another application keeps. A mark stays as long
// as what it is for; where none has changed, nothing is written.
func TestWidenMarksWhatWaits(t *testing.T) {
	t.Parallel()
	every([]int{len(allOps), 2, 2, 2, 2, 2, 3, 3, 3}, func(c []int) {
		op, declared := allOps[c[0]], c[1] == 1
		if may, leaves := declares(op); declared && !may || !declared && !leaves {
			return
		}
		e := accepted(configMap("a"))
		e.Held, e.Awaiting = c[3] == 1, c[4] == 1
		if c[5] == 1 {
			e.Released, e.Waived = "bundle", "bundle"
		}
		e.Offered = []string{"", "b", "c"}[c[6]]
		inv := Inventory{Entries: map[string]Entry{}}
		if c[2] == 1 {
			inv.Entries[e.Key()] = e
		}
		before := maps.Clone(inv.Entries)
		s := Step{Object: e.Object, Op: op}
		if declared {
			s.Target = &Target{Object: e.Object, Digest: "v2"}
		}
		if op == OpOffer || op == OpPass {
			s.To = "b"
			s.Stands = inv.Entries[e.Key()].Offered == "b"
		}
		plan := Plan{Steps: []Step{s}, Awaited: []*Awaited{nil, {Application: "b"}, {Application: "b", Said: true}}[c[7]]}
		desired := Desired{Application: app, Order: events.Order{Epoch: "e", Sequence: 1 + uint64(c[8])}, Digest: "next", Declaration: "decl"}
		kept := KeptPolicy{Prune: true}
		wide := inv.Widen(desired, plan, kept)

		if !maps.EqualFunc(inv.Entries, before, Entry.equal) {
			t.Fatal("the inventory itself was changed")
		}
		if wide.Fence.Digest != "next" || wide.Fence.Order() != desired.Order || wide.Kept != kept || wide.Application != app {
			t.Fatalf("got %+v", wide)
		}
		if c[2] == 0 && !declared {
			if len(wide.Entries) > 0 {
				t.Fatalf("%s: what was never ours: %+v", op, wide.Entries)
			}
			return
		}
		want := e
		if c[2] == 0 {
			want = Entry{Object: e.Object}
		}
		if declared {
			want.Held, want.Released, want.Waived = false, "", ""
		}
		want.Held = want.Held || op == OpHold && plan.Awaited == nil
		want.Awaiting = op == OpHold && plan.Awaited != nil && plan.Awaited.Said
		want.Offered = ""
		if op == OpOffer {
			want.Offered = "b"
		}
		if diff := cmp.Diff(map[string]Entry{e.Key(): want}, wide.Entries); diff != "" {
			t.Fatalf("%s, declared: %t, awaited %+v: %s", op, declared, plan.Awaited, diff)
		}
		if c[2] == 0 {
			return
		}
		differs := want.Held != e.Held || want.Awaiting != e.Awaiting || want.Offered != e.Offered || want.Released != e.Released
		if got := new(applier).marksDiffer(inv, plan); got != differs {
			t.Fatalf("%s, declared: %t, awaited %+v: %+v: differs: %t", op, declared, plan.Awaited, e, got)
		}
	})
}

// After a plan was carried out, the inventory is narrowed by what is gone or no
// longer ours, and by nothing else; it says that the bundle is applied, or was
// compared, only where nothing failed or waits.
func TestSettleNarrowsByWhatIsGone(t *testing.T) {
	t.Parallel()
	every([]int{len(allOps), 2, 4, 3, 2}, func(c []int) {
		op, declared := allOps[c[0]], c[1] == 1
		if may, leaves := declares(op); declared && !may || !declared && !leaves {
			return
		}
		e, other := accepted(configMap("a")), accepted(configMap("z"))
		written := accepted(configMap("a"))
		written.UID, written.Digest = "new", "v2"
		r := []Result{{}, {Entry: written}, {Gone: true}, {Err: errLost}}[c[2]]
		fails := c[2] == 3
		if op == OpKeep && fails || op.Writes() != (c[2] == 1) && !fails {
			return
		}
		s := Step{Object: e.Object, Op: op}
		if declared {
			s.Target = &Target{Object: e.Object}
		}
		plan := Plan{
			Steps:   []Step{s, {Object: other.Object, Op: OpKeep, Target: &Target{Object: other.Object}}},
			Awaited: []*Awaited{nil, {}, {Said: true}}[c[3]],
		}
		inv := Inventory{Application: app, Entries: map[string]Entry{e.Key(): e, other.Key(): other}}
		inv.Fence.Compared = c[4] == 1
		before := maps.Clone(inv.Entries)
		got := inv.Settle(plan, map[string]Result{e.Key(): r, other.Key(): {}})

		want := maps.Clone(before)
		lasting := op == OpKeep || op == OpHold || op == OpOffer
		waits := op == OpWait || !lasting && fails || op == OpDelete && !r.Gone
		switch {
		case lasting || waits:
		case op.Writes():
			want[e.Key()] = written
		default:
			delete(want, e.Key())
		}
		if diff := cmp.Diff(want, got.Entries); diff != "" {
			t.Fatalf("%s, %+v: %s", op, r, diff)
		}
		if quiet := c[3] == 1; got.Fence.Applied != (!waits && !quiet) {
			t.Fatalf("%s, %+v, awaited %+v: applied: %t", op, r, plan.Awaited, got.Fence.Applied)
		}
		if compared := !declared || op != OpWait && !fails; got.Fence.Compared != (compared || c[4] == 1) {
			t.Fatalf("%s, declared: %t, %+v: compared: %t", op, declared, r, got.Fence.Compared)
		}
		if !maps.EqualFunc(inv.Entries, before, Entry.equal) {
			t.Fatal("the inventory itself was changed")
		}
	})
}

// An inventory is written where anything of it is news. So nothing that it
// keeps may be missing from the comparison.
func TestNothingOfAnInventoryIsLeftOutOfItsComparison(t *testing.T) {
	t.Parallel()
	eachField(t, Entry.equal)
	eachField(t, Fence.equal)
	eachField(t, Inventory.equal, "UID") // another ConfigMap has another resourceVersion
	inv := Inventory{Entries: map[string]Entry{"a": {}}}
	if inv.equal(Inventory{Entries: map[string]Entry{"a": {Held: true}}}) || !inv.equal(Inventory{Entries: map[string]Entry{"a": {}}}) {
		t.Error("the entries are compared by what they hold")
	}
}

// eachField compares a value with one that is changed in one field, for all
// but some.
func eachField[T any](t *testing.T, equal func(T, T) bool, but ...string) {
	t.Helper()
	var zero T
	if !equal(zero, zero) {
		t.Errorf("%T is not equal to itself", zero)
	}
	typ := reflect.TypeFor[T]()
next:
	for i := range typ.NumField() {
		for _, name := range but {
			if typ.Field(i).Name == name {
				continue next
			}
		}
		changed := zero
		change(t, reflect.ValueOf(&changed).Elem().Field(i))
		if equal(zero, changed) || equal(changed, zero) {
			t.Errorf("%T: %s is not compared", zero, typ.Field(i).Name)
		}
	}
}

// change gives a field another value than its zero.
func change(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint64:
		v.SetUint(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("x"), reflect.Zero(v.Type().Elem()))
	case reflect.Struct:
		change(t, v.Field(v.NumField()-1))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	default:
		t.Fatalf("a field of kind %s", v.Kind())
	}
}

// What was only observed is never deleted with its application; without a word
// of the policy, what was pruned before is.
func TestWhatIsDeletedWithItsApplication(t *testing.T) {
	t.Parallel()
	for _, prune := range []bool{false, true} {
		for deletion, want := range map[events.Deletion]bool{events.DeletionDelete: true, events.DeletionOrphan: false, "": prune} {
			for _, mode := range []events.Mode{events.ModeAuto, events.ModeObserve, ""} {
				k := KeptPolicy{Deletion: deletion, Prune: prune, Mode: mode}
				if got := k.Deletes(); got != (want && mode != events.ModeObserve) {
					t.Errorf("%+v: deletes: %t", k, got)
				}
			}
		}
	}
}
