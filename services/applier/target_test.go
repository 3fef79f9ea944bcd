// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbline-dev/plumbline/events"
)

// every calls f with each combination of choices, of which the i-th is one of
// sizes[i].
func every(sizes []int, f func(choice []int)) {
	choice := make([]int, len(sizes))
	for {
		f(choice)
		i := 0
		for ; i < len(sizes); i++ {
			if choice[i]++; choice[i] < sizes[i] {
				break
			}
			choice[i] = 0
		}
		if i == len(sizes) {
			return
		}
	}
}

// target is a declared object with a field that is ignored where someone else
// owns it.
func target() Target {
	return Target{
		Object: events.Object{Version: "v1", Kind: "ConfigMap", Namespace: "ns", Name: "a"}, Digest: "v1",
		Ignored: []string{"/data/key"}, Body: map[string]any{"data": map[string]any{"key": "x"}},
	}
}

var otherOwner = []Ownership{{Manager: "hpa", Fields: []byte(`{"f:data":{"f:key":{}}}`)}}

// An object costs no request only where all that is known of it is as the API
// server returned it: its uid, our entry in its managedFields, the annotation,
// what was left out, and nobody told of a divergence. One that was deleted and
// made again by another hand isn't ours for its name.
func TestDecideKeepsOnlyWhatIsAsItWasAccepted(t *testing.T) {
	t.Parallel()
	fields := []struct{ live, entry string }{{"f", "f"}, {"shrunk", "f"}, {"", "f"}, {"f", ""}, {"", ""}}
	left := []string{"/data/key"}
	kept := 0
	every([]int{2, 3, 2, 2, len(fields), 2, 2, 2, 2}, func(c []int) {
		target := target()
		known, forgotten := c[0] == 0, c[6] == 1
		entry := Entry{Object: target.Object, Digest: []string{"v1", "v0", ""}[c[1]], UID: "uid", Fields: fields[c[4]].entry}
		l := Live{
			UID: []string{"uid", "anew"}[c[2]], ResourceVersion: "7", Owner: app,
			Digest: []string{"v1", "v0"}[c[3]], Fields: fields[c[4]].live,
		}
		var leaves []string
		if c[7] == 1 {
			l.Others, leaves = otherOwner, left
		}
		if c[5] == 1 {
			entry.Left = left
		}
		memory := Memory{
			Fence:   Fence{Epoch: "e", Sequence: 1, Digest: "bundle", Declaration: "decl", Applied: c[8] == 0},
			Entries: map[string]Entry{}, Forgotten: map[string]bool{target.Key(): forgotten},
		}
		if known {
			memory.Entries[target.Key()] = entry
		}
		desired := Desired{
			Application: app, Order: events.Order{Epoch: "e", Sequence: 1}, Digest: "bundle", Declaration: "decl",
			Complete: true, Objects: []Target{target},
		}
		plan := decide(desired, map[string]Live{target.Key(): l}, memory, Policy{Heal: true}, time.Time{})
		want := OpUpdate
		if known && !forgotten && c[1] == 0 && c[2] == 0 && c[3] == 0 && c[4] == 0 && c[5] == c[7] {
			want = OpKeep
			kept++
		}
		if len(plan.Steps) != 1 {
			t.Fatalf("%v: got\n%s", c, plan)
		}
		s := plan.Steps[0]
		if s.Op != want || s.UID != l.UID || s.ResourceVersion != "7" || !slices.Equal(s.Left, leaves) || s.Target == nil {
			t.Fatalf("%+v\n%+v, forgotten: %t: want %s, got %+v", entry, l, forgotten, want, s)
		}
	})
	if kept != 4 {
		t.Errorf("kept in %d cases", kept)
	}
}

// What becomes of a declared object, by what is there and by whether anything
// but someone else's doing could have changed it.
func TestDecideOfADeclaredObject(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	every([]int{2, 2, 3, 2, 2, 5, 2, 4}, func(c []int) {
		target, object := target(), target()
		exists, deleting, owner, known, disturbed := c[0] == 1, c[1] == 1, []string{app, "", "other"}[c[2]], c[3] == 1, c[4] == 1
		desired := Desired{Application: app, Order: events.Order{Epoch: "e", Sequence: 1}, Digest: "bundle", Declaration: "decl", Complete: true}
		fence := Fence{Epoch: "e", Sequence: 1, Digest: "bundle", Declaration: "decl", Applied: true}
		switch c[5] {
		case 1:
			desired.Digest = "next"
		case 2:
			desired.Declaration = "next"
		case 3:
			fence.Applied = false
		case 4:
			target.Digest = "v2"
		}
		desired.Objects = []Target{target}
		live, memory := map[string]Live{}, Memory{Fence: fence, Entries: map[string]Entry{}}
		if exists {
			l := Live{UID: "uid", ResourceVersion: "7", Owner: owner, Digest: "v1", Fields: "f", Deleting: deleting}
			if disturbed {
				l.Fields = "shrunk"
			}
			live[target.Key()] = l
		}
		if known {
			memory.Entries[target.Key()] = Entry{Object: object.Object, Digest: "v1", UID: "uid", Fields: "f"}
		}
		if c[7] > 0 {
			memory.Contended = map[string]time.Time{target.Key(): now.Add(time.Duration(c[7]-2) * time.Second)}
		}
		policy := Policy{Heal: c[6] == 1}
		plan := decide(desired, live, memory, policy, now)
		if exists && owner == "other" {
			if len(plan.Refused) != 1 || plan.Refused[0].Owner != "other" || len(plan.Steps) != 0 || plan.Settled() {
				t.Fatalf("%v: it belongs to another: got %+v", c, plan)
			}
			return
		}
		same := known && c[5] == 0
		var want Op
		switch {
		case exists && deleting:
			want = OpWait
		case same && (!policy.Heal || c[7] == 3):
			want = OpKeep // someone else's doing, which isn't put right, or not now
		case !exists:
			want = OpCreate
		case owner == "" && !known:
			want = OpAdopt
		case owner == "" || !known || disturbed || c[5] == 4:
			want = OpUpdate
		default:
			want = OpKeep
		}
		uid, version := "", ""
		if exists {
			uid, version = "uid", "7"
		}
		if len(plan.Refused) > 0 || len(plan.Steps) != 1 || plan.Steps[0].Op != want || plan.Steps[0].UID != uid || plan.Steps[0].ResourceVersion != version {
			t.Fatalf("%v: want %s, got %+v\n%s", c, want, plan.Refused, plan)
		}
	})
}

// A plan is settled where it asks for no request and no change of the
// inventory; only what writes or deletes is a request.
func TestWhatAPlanAsksFor(t *testing.T) {
	t.Parallel()
	for op, want := range map[Op]struct {
		requests         int
		deletes, settled bool
		offered          string
	}{
		OpCreate: {requests: 1}, OpUpdate: {requests: 1}, OpAdopt: {requests: 1},
		OpDelete: {requests: 1, deletes: true},
		OpKeep:   {settled: true}, OpHold: {settled: true}, OpOffer: {settled: true, offered: "b"},
		OpWait: {}, OpPass: {}, OpOrphan: {}, OpForget: {},
	} {
		for _, steps := range [][]Step{{{Op: OpKeep}, {Op: op, To: "b"}}, {{Op: op, To: "b"}, {Op: OpKeep}}} {
			plan := Plan{Steps: steps}
			got := want
			got.requests, got.deletes, got.settled, got.offered = plan.Requests(), plan.deletes(), plan.Settled(), plan.offered()
			if got != want {
				t.Errorf("%s: got %+v, want %+v", op, got, want)
			}
		}
	}
	for name, plan := range map[string]Plan{
		"refused": {Refused: []Refusal{{}}}, "it waits without a word": {Awaited: &Awaited{}},
	} {
		if plan.Settled() {
			t.Errorf("%s: settled", name)
		}
	}
	if told := (Plan{Awaited: &Awaited{Said: true}}); told.quiet() || !told.Settled() {
		t.Error("what people were told waits for them")
	}
	if diff := cmp.Diff(Plan{}.quiet(), false); diff != "" {
		t.Error("nothing waits")
	}
}
