// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/compare"
)

const app = "shop"

// world is a model of a cluster and of what the applier remembers, just rich
// enough for decide.
type world struct {
	live   map[string]Live
	memory Memory
	uids   int
}

func newWorld() *world {
	return &world{live: map[string]Live{}, memory: Memory{Entries: map[string]Entry{}}}
}

// apply carries a plan out as the applier does, and raises the fence.
func (w *world) apply(desired Desired, plan Plan) {
	if len(plan.Refused) > 0 {
		return
	}
	fence := w.memory.Fence.Advance(desired.Order, desired.Digest, desired.Declaration)
	for _, s := range plan.Steps {
		key := s.Key()
		switch s.Op {
		case OpCreate, OpUpdate, OpAdopt:
			uid := w.live[key].UID
			if s.Op == OpCreate {
				w.uids++
				uid = fmt.Sprint("uid", w.uids)
			}
			fields := "f:" + s.Target.Digest + fmt.Sprint(s.Left)
			w.live[key] = Live{UID: uid, Owner: app, Digest: s.Target.Digest, Fields: fields, Others: w.live[key].Others}
			w.memory.Entries[key] = Entry{Object: s.Object, Digest: s.Target.Digest, UID: uid, Fields: fields, Left: s.Left}
			delete(w.memory.Forgotten, key)
		case OpDelete:
			delete(w.live, key)
			delete(w.memory.Entries, key)
		case OpForget, OpOrphan, OpPass:
			delete(w.memory.Entries, key)
		case OpHold:
			e := w.memory.Entries[key]
			e.Held = true
			w.memory.Entries[key] = e
		case OpWait:
			delete(w.live, key)
		}
	}
	fence.Applied, fence.Compared = true, true
	w.memory.Fence = fence
}

var kinds = []events.Object{
	{Version: "v1", Kind: "ConfigMap"},
	{Version: "v1", Kind: "Namespace"},
	{Version: "v1", Kind: "Secret"},
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"},
	{Group: "example.com", Version: "v1", Kind: "Widget"},
}

// someBundle declares a random part of a small universe of objects, so that
// revisions meet one another.
func someBundle(r *rand.Rand, sequence uint64) Desired {
	d := Desired{Application: app, Order: events.Order{Epoch: "e", Sequence: sequence}, Complete: true, Declaration: "decl"}
	share := r.IntN(100)
	for i := range 12 {
		if r.IntN(100) > share {
			continue
		}
		o := kinds[i%len(kinds)]
		if r.IntN(8) > 0 {
			o = kinds[[]int{0, 2, 3, 5}[i%4]]
		}
		o.Name = fmt.Sprint("o", i)
		d.Objects = append(d.Objects, Target{Object: o, Digest: fmt.Sprint("v", r.IntN(3))})
	}
	d.Digest = fmt.Sprint(d.Objects)
	return d
}

// disturb lets other people loose on the cluster.
func (w *world) disturb(r *rand.Rand) {
	for key, l := range w.live {
		switch r.IntN(12) {
		case 0:
			delete(w.live, key)
			continue
		case 1:
			l.Fields = "f:shrunk"
		case 2:
			l.Digest = "foreign"
		case 3:
			l.Owner = ""
		case 4:
			l.Deleting = true
		case 5:
			l.UID += "'"
		case 6:
			l.Fields = ""
		}
		w.live[key] = l
	}
}

// copyOf keeps a world as it was, to compare with.
func (w *world) copyOf() (map[string]Live, Memory) {
	m := w.memory
	m.Entries = maps.Clone(m.Entries)
	return maps.Clone(w.live), m
}

// moment says where in the histories a law is broken. It is written out where
// one is: writing plans out takes longer than making them.
type moment struct {
	seed, sequence uint64
	plan           *Plan
}

func (m moment) String() string {
	return fmt.Sprintf("seed %d, sequence %d:\n%s", m.seed, m.sequence, m.plan)
}

func TestDecideHoldsItsLawsOverManyHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 2))
		w := newWorld()
		for sequence := uint64(1); sequence <= 8; sequence++ {
			desired := someBundle(r, sequence)
			policy := Policy{Prune: r.IntN(4) > 0, Heal: true}
			w.disturb(r)
			live, memory := w.copyOf()
			plan := decide(desired, live, memory, policy, time.Time{})
			where := moment{seed, sequence, &plan}
			if !reflect.DeepEqual(w.live, live) {
				t.Fatalf("%s\ndecide changed its input:\n%s", where, cmp.Diff(w.live, live))
			}
			checkOrder(t, r, desired, w, policy, plan, where)
			checkDeletes(t, desired, w, policy, plan, where)
			w.apply(desired, plan)
			checkSettled(t, desired, w, policy, where)
		}
	}
}

// Equal plans for shuffled input; applies by phase, deletes in reverse.
func checkOrder(t *testing.T, r *rand.Rand, desired Desired, w *world, policy Policy, plan Plan, where moment) {
	t.Helper()
	shuffled := desired
	shuffled.Objects = slices.Clone(desired.Objects)
	r.Shuffle(len(shuffled.Objects), func(i, j int) {
		shuffled.Objects[i], shuffled.Objects[j] = shuffled.Objects[j], shuffled.Objects[i]
	})
	if again := decide(shuffled, w.live, w.memory, policy, time.Time{}); again.String() != plan.String() {
		t.Fatalf("%s\nanother order of the same objects gives another plan:\n%s", where, again)
	}
	for i := 1; i < len(plan.Steps); i++ {
		a, b := plan.Steps[i-1], plan.Steps[i]
		switch {
		case a.Target == nil && b.Target != nil:
			t.Fatalf("%s\nsomething leaves before something is applied", where)
		case a.Target != nil && b.Target != nil && a.Phase > b.Phase, a.Target == nil && b.Target == nil && a.Phase < b.Phase:
			t.Fatalf("%s\nphases out of order", where)
		}
	}
}

// Nothing is deleted but what the inventory holds, the bundle lacks, our label
// marks, and the guard lets go.
func checkDeletes(t *testing.T, desired Desired, w *world, policy Policy, plan Plan, where moment) {
	t.Helper()
	var going []events.Object
	for _, s := range plan.Steps {
		if s.Op != OpDelete {
			continue
		}
		going = append(going, s.Object)
		l, exists := w.live[s.Key()]
		_, ours := w.memory.Entries[s.Key()]
		declared := slices.ContainsFunc(desired.Objects, func(t Target) bool { return t.Key() == s.Key() })
		if !exists || !ours || declared || !policy.Prune || l.Owner != app || s.UID != l.UID || !w.memory.Fence.Compared {
			t.Fatalf("%s\n%s must not be deleted", where, s.Object)
		}
	}
	if reason, _ := guardPrune(owned(w.memory.Entries), going); reason != "" {
		t.Fatalf("%s\nthe guard was passed over: %s", where, reason)
	}
}

// After a plan was carried out there is nothing to do, once what was being
// deleted is gone.
func checkSettled(t *testing.T, desired Desired, w *world, policy Policy, where moment) {
	t.Helper()
	again := decide(desired, w.live, w.memory, policy, time.Time{})
	w.apply(desired, again)
	final := decide(desired, w.live, w.memory, policy, time.Time{})
	if !final.Settled() || final.Requests() > 0 {
		t.Fatalf("%s\nafter it was applied there is still to do:\n%s", where, final)
	}
	for _, target := range desired.Objects {
		if w.live[target.Key()].Digest != target.Digest {
			t.Fatalf("%s\n%s is not as declared", where, target.Object)
		}
	}
}

func TestDecideNeverPrunesFromAnOlderOrPartialBundle(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 3))
		w := newWorld()
		first := someBundle(r, 10)
		w.apply(first, decide(first, w.live, w.memory, Policy{Prune: true}, time.Time{}))
		next := someBundle(r, 11)
		switch r.IntN(3) {
		case 0:
			next.Complete = false
		case 1:
			next.Order.Sequence = 9
		case 2:
			next.Order.Epoch = "another"
		}
		plan := decide(next, w.live, w.memory, Policy{Prune: true}, time.Time{})
		for _, s := range plan.Steps {
			if s.Op == OpDelete || s.Op == OpForget || s.Op == OpHold {
				t.Fatalf("seed %d: %s\n%s", seed, s.Op, plan)
			}
		}
	}
}

func configMaps(names ...string) Desired {
	d := Desired{Application: app, Order: events.Order{Epoch: "e", Sequence: 1}, Complete: true, Declaration: "decl"}
	for _, n := range names {
		d.Objects = append(d.Objects, Target{Object: events.Object{Version: "v1", Kind: "ConfigMap", Namespace: "ns", Name: n}, Digest: "v1"})
	}
	d.Digest = fmt.Sprint(names)
	return d
}

func converged(names ...string) (*world, Desired) {
	w, d := newWorld(), configMaps(names...)
	w.apply(d, decide(d, w.live, w.memory, Policy{}, time.Time{}))
	return w, d
}

func at(d Desired, sequence uint64) Desired {
	d.Order.Sequence = sequence
	return d
}

func ops(p Plan) map[string]Op {
	m := map[string]Op{}
	for _, s := range p.Steps {
		m[s.Name] = s.Op
	}
	return m
}

func TestDecideHoldsAPrunePastTheGuardUntilItIsApproved(t *testing.T) {
	w, _ := converged("a", "b", "c", "d", "e")
	next := at(configMaps("a", "b"), 2)
	plan := decide(next, w.live, w.memory, Policy{Prune: true}, time.Time{})
	if plan.Hold == nil || plan.Hold.Reason != events.ReasonPruneGuard || len(plan.Hold.Objects) != 3 {
		t.Fatalf("got %+v\n%s", plan.Hold, plan)
	}
	w.apply(next, plan)

	t.Run("it stays held when the application grows", func(t *testing.T) {
		grown := at(configMaps("a", "b", "f", "g", "h", "i", "j", "k"), 3)
		if p := decide(grown, w.live, w.memory, Policy{Prune: true}, time.Time{}); p.Hold == nil || p.Hold.Digest == plan.Hold.Digest {
			t.Errorf("got %+v\n%s", p.Hold, p)
		}
	})
	for key, e := range w.memory.Entries {
		if e.Held {
			e.Released = next.Digest
			w.memory.Entries[key] = e
		}
	}
	t.Run("another bundle isn't released by it", func(t *testing.T) {
		other := at(configMaps("a"), 3)
		if p := decide(other, w.live, w.memory, Policy{Prune: true}, time.Time{}); p.Hold == nil {
			t.Errorf("got\n%s", p)
		}
	})
	released := decide(next, w.live, w.memory, Policy{Prune: true}, time.Time{})
	if released.Hold != nil || ops(released)["c"] != OpDelete || released.Requests() != 3 {
		t.Errorf("got %+v\n%s", released.Hold, released)
	}
}

func TestDecideRefusesWhatAnotherApplicationOwns(t *testing.T) {
	w, _ := converged("a")
	next := at(configMaps("a", "b"), 2)
	w.live["/ConfigMap/ns/b"] = Live{UID: "x", Owner: "other"}
	plan := decide(next, w.live, w.memory, Policy{Prune: true}, time.Time{})
	if len(plan.Refused) != 1 || plan.Refused[0].Reason != events.ReasonOwnedByOther || len(plan.Steps) != 0 {
		t.Errorf("got %+v", plan)
	}
}

func TestDecidePassesOnWhatAnotherApplicationClaims(t *testing.T) {
	w, _ := converged("a", "b")
	plan := decide(at(configMaps("a"), 2), w.live, w.memory,
		Policy{Prune: true, Claimed: map[string]string{"/ConfigMap/ns/b": "other"}}, time.Time{})
	if ops(plan)["b"] != OpOffer {
		t.Errorf("not taken yet: got\n%s", plan)
	}
	plan = decide(at(configMaps("a"), 2), w.live, w.memory, Policy{
		Prune: true, Claimed: map[string]string{"/ConfigMap/ns/b": "other"}, Observers: map[string]bool{"other": true},
	}, time.Time{})
	if ops(plan)["b"] != OpPass {
		t.Errorf("nobody takes it: got\n%s", plan)
	}
	taken := w.live["/ConfigMap/ns/b"]
	taken.Owner = "other"
	w.live["/ConfigMap/ns/b"] = taken
	plan = decide(at(configMaps("a"), 2), w.live, w.memory,
		Policy{Prune: true, Claimed: map[string]string{"/ConfigMap/ns/b": "other"}}, time.Time{})
	if ops(plan)["b"] != OpPass {
		t.Errorf("taken: got\n%s", plan)
	}
}

func TestDecideLeavesHandEditsAloneWhereHealingIsOff(t *testing.T) {
	w, d := converged("a", "b")
	l := w.live["/ConfigMap/ns/a"]
	l.Fields = "f:shrunk"
	w.live["/ConfigMap/ns/a"] = l
	delete(w.live, "/ConfigMap/ns/b")
	if plan := decide(d, w.live, w.memory, Policy{}, time.Time{}); plan.Requests() != 0 {
		t.Errorf("the same revision: got\n%s", plan)
	}
	if plan := decide(d, w.live, w.memory, Policy{Heal: true}, time.Time{}); plan.Requests() != 2 {
		t.Errorf("healing on: got\n%s", plan)
	}
	next := at(configMaps("a", "b", "c"), 2)
	if plan := decide(next, w.live, w.memory, Policy{}, time.Time{}); plan.Requests() != 3 {
		t.Errorf("a new revision: got\n%s", plan)
	}
}

func TestDecideLeavesAContendedObjectAloneForAWhile(t *testing.T) {
	w, d := converged("a")
	now := time.Unix(1000, 0)
	w.memory.Forgotten = map[string]bool{"/ConfigMap/ns/a": true}
	w.memory.Contended = map[string]time.Time{"/ConfigMap/ns/a": now.Add(time.Second)}
	if plan := decide(d, w.live, w.memory, Policy{Heal: true}, now); plan.Requests() != 0 {
		t.Errorf("within the delay: got\n%s", plan)
	}
	if plan := decide(d, w.live, w.memory, Policy{Heal: true}, now.Add(time.Second)); plan.Requests() != 1 {
		t.Errorf("after it: got\n%s", plan)
	}
}

func TestDecideKeepsWhatIsNoLongerDeclaredWherePruneIsOff(t *testing.T) {
	w, _ := converged("a", "b")
	next := at(configMaps("a"), 2)
	plan := decide(next, w.live, w.memory, Policy{}, time.Time{})
	if ops(plan)["b"] != OpKeep {
		t.Fatalf("got\n%s", plan)
	}
	w.apply(next, plan)
	if plan := decide(at(next, 3), w.live, w.memory, Policy{Prune: true}, time.Time{}); ops(plan)["b"] != OpDelete {
		t.Errorf("prune on again: got\n%s", plan)
	}
}

func TestGuards(t *testing.T) {
	cm := events.Object{Version: "v1", Kind: "ConfigMap"}
	crd := events.Object{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
	for name, c := range map[string]struct {
		owned int
		going []events.Object
		want  events.Reason
	}{
		"all of a small one":      {4, []events.Object{cm, cm, cm, cm}, ""},
		"half of a larger one":    {6, []events.Object{cm, cm, cm}, ""},
		"more than half":          {5, []events.Object{cm, cm, cm}, events.ReasonPruneGuard},
		"a protected kind":        {50, []events.Object{cm, crd}, events.ReasonProtectedKind},
		"nothing":                 {5, nil, ""},
		"a namespace, of a small": {1, []events.Object{{Version: "v1", Kind: "Namespace"}}, events.ReasonProtectedKind},
	} {
		if got, _ := guardPrune(c.owned, c.going); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	for _, c := range []struct {
		inventories, withdrawn int
		held                   bool
	}{{2, 1, false}, {1, 1, true}, {2, 2, true}, {3, 2, true}, {7, 2, false}, {10, 3, false}, {10, 4, true}, {6, 2, true}} {
		if got, _ := guardFleet(c.inventories, c.withdrawn); (got != "") != c.held {
			t.Errorf("%d of %d withdrawn: got %q", c.withdrawn, c.inventories, got)
		}
	}
}

func TestIgnoredFields(t *testing.T) {
	deployment := events.Object{Group: "apps", Version: "v1", Kind: "Deployment", Name: "web"}
	body := map[string]any{"metadata": map[string]any{"annotations": map[string]any{"a/b": "x"}}, "spec": map[string]any{
		"replicas": int64(3), "template": map[string]any{"spec": map[string]any{"containers": []any{
			map[string]any{"name": "one", "image": "a"}, map[string]any{"name": "two", "image": "b"},
		}}},
	}}
	rules := []events.IgnoreRule{
		{Kind: "Deployment", Path: "/spec/replicas"},
		{Kind: "Deployment", Name: "other", Path: "/spec/template"},
		{Group: "apps", Kind: "Deployment", Path: "/spec/template/spec/containers/1/image"},
		{Kind: "Deployment", Path: "/metadata/annotations/a~1b"},
		{Kind: "Deployment", Path: ""},
		{Kind: "Deployment", Path: "/spec/paused"},
	}
	paths := ignored(deployment, body, rules)
	want := []string{"/metadata/annotations/a~1b", "/spec/replicas", "/spec/template/spec/containers/1/image"}
	if d := cmp.Diff(want, paths); d != "" {
		t.Fatal(d)
	}
	if left := leftOut(paths, body, nil); len(left) != 0 {
		t.Errorf("nobody else owns anything: left out %v", left)
	}
	others := []Ownership{
		{Manager: "hpa", Fields: []byte(`{"f:spec":{"f:replicas":{}}}`)},
		{Manager: "bot", Fields: []byte(`{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"one\"}":{"f:image":{}}}}}}}`)},
	}
	if d := cmp.Diff([]string{"/spec/replicas"}, leftOut(paths, body, others)); d != "" {
		t.Error(d)
	}
	others[1].Fields = []byte(`{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"two\"}":{"f:image":{}}}}}}}`)
	left := leftOut(paths, body, others)
	if d := cmp.Diff([]string{"/spec/replicas", "/spec/template/spec/containers/1/image"}, left); d != "" {
		t.Error(d)
	}
	sent := without(body, left)
	if _, ok := compare.At(sent, compare.Tokens("/spec/replicas")); ok {
		t.Error("replicas were sent")
	}
	if v, _ := compare.At(sent, compare.Tokens("/spec/template/spec/containers/0/image")); v != "a" {
		t.Errorf("the other container's image: got %v", v)
	}
	if _, ok := compare.At(sent, compare.Tokens("/spec/template/spec/containers/1/image")); ok {
		t.Error("the image was sent")
	}
	if v, _ := compare.At(body, compare.Tokens("/spec/replicas")); v != int64(3) {
		t.Error("the bundle's body was changed")
	}
}

func TestDecideNeverDeletesWhatIsDeclaredUnderAnotherGroup(t *testing.T) {
	w, d := converged("a", "b")
	moved := at(d, 2)
	moved.Objects = slices.Clone(d.Objects)
	moved.Objects[0].Group, moved.Digest = "other.k8s.io", "moved" // one object, served by two API groups
	w.live[moved.Objects[0].Key()] = w.live[d.Objects[0].Key()]
	plan := decide(moved, w.live, w.memory, Policy{Prune: true}, time.Time{})
	for _, s := range plan.Steps {
		if s.Op == OpDelete {
			t.Errorf("got\n%s", plan)
		}
	}
	if !strings.Contains(plan.String(), "forget") {
		t.Errorf("its old name stays in the inventory:\n%s", plan)
	}
}

func TestAPlanInTheLogHoldsNoBody(t *testing.T) {
	d := configMaps("a")
	d.Objects[0].Body = map[string]any{"data": map[string]any{"key": "horse"}}
	var b strings.Builder
	log := slog.New(slog.NewJSONHandler(&b, nil))
	log.Info("decided", "plan", decide(d, nil, Memory{}, Policy{}, time.Time{}))
	if strings.Contains(b.String(), "horse") || !strings.Contains(b.String(), "create") {
		t.Error(b.String())
	}
}

// Whatever a clock says, an hour off or a lifetime, the plan is the same. Only an
// object that somebody fights over is left alone until a time.
func TestThePlanAsksNoClock(t *testing.T) {
	times := []time.Time{
		time.Unix(0, 0), time.Now().Add(-time.Hour), time.Now(), time.Now().Add(time.Hour), time.Date(2106, 2, 7, 6, 28, 15, 0, time.UTC),
	}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 31))
		w := newWorld()
		for sequence := uint64(1); sequence < 6; sequence++ {
			desired := someBundle(r, sequence)
			policy := Policy{Prune: true, Heal: r.IntN(2) == 0}
			var first Plan
			for i, now := range times {
				live, memory := w.copyOf()
				plan := decide(desired, live, memory, policy, now)
				if i == 0 {
					first = plan
				}
				if diff := cmp.Diff(ops(first), ops(plan)); diff != "" {
					t.Fatalf("seed %d, revision %d: at %s another plan is made:\n%s", seed, sequence, now, diff)
				}
			}
			w.apply(desired, first)
			w.disturb(r)
		}
	}
	// And no clock is in the order of revisions.
	f := Fence{Epoch: "e", Sequence: 5}
	if !f.Admit(events.Order{Epoch: "e", Sequence: 6}, "e", events.Order{}).OK || f.Admit(events.Order{Epoch: "e", Sequence: 4}, "e", events.Order{}).OK {
		t.Error("the order is that of the log")
	}
}
