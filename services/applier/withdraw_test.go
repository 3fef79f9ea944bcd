// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

func (r *rig) withdrawn(name string, nth int) *events.ApplicationWithdrawn {
	r.Helper()
	return payload[*events.ApplicationWithdrawn](r.await(name, "withdrawn", nth))
}

func (r *rig) noInventory(name string) {
	r.Helper()
	r.eventually("the inventory of "+name+" is gone", func() bool { _, found := r.inventory(name); return !found })
}

func TestWithdrawsByTheDeletionPolicy(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	for _, name := range []string{"stays", "goes", "orphaned", "more"} {
		r.declare(name, func(d *events.Declaration) {
			if name == "orphaned" {
				d.Deletion = events.DeletionOrphan
			}
		})
	}
	r.fleet()
	for _, name := range []string{"stays", "goes", "orphaned", "more"} {
		r.commit(name, configMapYAML(name, "1"))
		r.await(name, "completed", 1)
	}
	late, lateRevision := r.observe("goes")
	delete(r.declared, "goes")
	f := r.fleet()
	gone := r.withdrawn("goes", 1)
	if gone.Outcome != events.ActionPruned || gone.Fleet != payload[*events.FleetObserved](f).Commit || gone.Objects.Count != 1 {
		t.Errorf("got %+v", gone)
	}
	if r.get(configMaps_, "goes") != nil {
		t.Error("something of it is left")
	}
	r.noInventory("goes")
	delete(r.declared, "orphaned")
	r.fleet()
	if kept := r.withdrawn("orphaned", 1); kept.Outcome != events.ActionOrphaned || r.get(configMaps_, "orphaned") == nil {
		t.Errorf("got %+v", kept)
	}
	r.noInventory("orphaned")

	t.Run("its last bundle comes too late", func(t *testing.T) {
		stop()
		r.start()
		r.publish(late, r.render(lateRevision, configMapYAML("goes", "2")))
		superseded := payload[*events.ConvergenceSuperseded](r.await("goes", "superseded", 1))
		if superseded.By < f.Stored {
			t.Errorf("got %+v", superseded)
		}
		r.commit("stays", configMapYAML("stays", "2"))
		r.await("stays", "completed", 2)
		if r.get(configMaps_, "goes") != nil {
			t.Error("a withdrawn application was applied again")
		}
	})
	t.Run("another application takes on what it left", func(t *testing.T) {
		r.commit("stays", configMapYAML("stays", "2")+configMapYAML("orphaned", "2"))
		if applied := r.applied("stays", 3); applied.Counts != (events.Counts{Adopted: 1, Unchanged: 1}) {
			t.Errorf("got %+v", applied.Counts)
		}
	})
}

func TestHoldsTheWithdrawalOfTooManyAtOnce(t *testing.T) {
	r := newRig(t)
	r.start()
	names := []string{"a", "b", "c"}
	for _, name := range names {
		r.declare(name)
	}
	r.fleet()
	for _, name := range names {
		r.commit(name, configMapYAML(name, "1"))
		r.await(name, "completed", 1)
	}
	delete(r.declared, "a")
	delete(r.declared, "b")
	r.fleet()
	a, b := r.withdrawn("a", 1), r.withdrawn("b", 1)
	if a.Outcome != events.ActionHeld || a.Reason != events.ReasonWithdrawalGuard || b.Outcome != events.ActionHeld || a.Hold == b.Hold {
		t.Fatalf("got %+v and %+v", a, b)
	}
	if r.get(configMaps_, "a") == nil || r.get(configMaps_, "b") == nil {
		t.Error("something was deleted")
	}
	r.approve("a", a.Hold)
	if done := r.withdrawn("a", 2); done.Outcome != events.ActionPruned || r.get(configMaps_, "a") != nil {
		t.Errorf("got %+v", done)
	}

	t.Run("the other one stays held, although it is alone now", func(t *testing.T) {
		r.fleet()
		r.sync()
		r.commit("c", configMapYAML("c", "2"))
		r.await("c", "completed", 2)
		if r.get(configMaps_, "b") == nil {
			t.Error("it was deleted")
		}
		r.approve("b", b.Hold)
		r.withdrawn("b", 2)
	})
}

func TestKeepsAWithdrawnNamespaceUntilItIsApproved(t *testing.T) {
	r := newRig(t)
	r.start()
	r.declare("other")
	r.fleet()
	r.commit("other", configMapYAML("other", "1"))
	r.await("other", "completed", 1)
	name := r.namespace + "-own"
	r.commit("shop", "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+name+"}\n")
	r.await("shop", "completed", 1)
	delete(r.declared, "shop")
	r.fleet()
	held := r.withdrawn("shop", 1)
	if held.Outcome != events.ActionHeld || held.Reason != events.ReasonProtectedKind {
		t.Fatalf("got %+v", held)
	}
	r.approve("shop", held.Hold)
	if done := r.withdrawn("shop", 2); done.Outcome != events.ActionPruned {
		t.Errorf("got %+v", done)
	}
}

// In a new life of the log nothing is withdrawn before all that is declared was
// compared. What keeps that from being so is said, and an approval lets the
// withdrawal go.
func TestAWithdrawalInANewLogIsSaidToWait(t *testing.T) {
	for name, obstruct := range map[string]func(r *rig){
		"for one that can't be rendered": func(r *rig) {
			c, p := r.observe("other")
			r.publish(c, &events.RenderFailed{Revision: p.Revision, Declaration: p.Declaration, Reason: events.ReasonSyntax, Message: "x"})
		},
		"for one that can't be applied": func(r *rig) {
			r.commit("other", configMapYAML("other", "1")+"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: refused}\ndata: {\"no key\": x}\n")
		},
	} {
		t.Run(name, func(t *testing.T) { withdrawInANewLog(t, obstruct) })
	}
}

func withdrawInANewLog(t *testing.T, obstruct func(*rig)) {
	before := newRig(t)
	stop := before.start()
	names := []string{"other", "gone"}
	for _, name := range names {
		before.declare(name)
	}
	before.fleet()
	var kept []Inventory
	for _, name := range names {
		before.commit(name, configMapYAML(name, "1"))
		before.await(name, "completed", 1)
		inv, _ := before.inventory(name)
		inv.ResourceVersion, inv.UID = "", ""
		kept = append(kept, inv)
	}
	stop()

	r := rigOn(t, before.lab) // another log, the same cluster
	r.namespace = before.namespace
	for _, inv := range kept {
		_, err := newInventories(r.core, nil).write(r.Context(), inv) // the new rig has cleaned it away
		r.must(err)
	}
	r.patience = time.Second
	r.start()
	r.declare("other")
	r.fleet()
	obstruct(r)
	held := r.withdrawn("gone", 1)
	if held.Outcome != events.ActionHeld || held.Reason != events.ReasonWithdrawalGuard || !strings.Contains(held.Message, "application other was not compared") || held.Objects.Count != 1 {
		t.Fatalf("got %+v", held)
	}
	if r.get(configMaps_, "gone") == nil {
		t.Fatal("it was deleted all the same")
	}
	r.approve("gone", held.Hold)
	if done := r.withdrawn("gone", 2); done.Outcome != events.ActionPruned || r.get(configMaps_, "gone") != nil {
		t.Errorf("got %+v", done)
	}
	if r.get(configMaps_, "other") == nil {
		t.Error("what is declared was deleted")
	}
}

func TestDecideWithdrawals(t *testing.T) {
	inv := func(name, epoch string, sequence uint64, compared bool) Inventory {
		return Inventory{Application: name, Fence: Fence{Epoch: epoch, Sequence: sequence, Compared: compared}}
	}
	finished := func(name string) Inventory {
		i := inv(name, "e", 1, true)
		i.Kept.Finished = &Finished{}
		return i
	}
	list := func(epoch string, stored uint64, names ...string) fleetList {
		f := fleetList{epoch: epoch, stored: stored, entries: map[string]events.FleetEntry{}}
		for _, n := range names {
			f.entries[n] = events.FleetEntry{Application: n, Held: n == "held"}
		}
		return f
	}
	for name, c := range map[string]struct {
		list fleetList
		invs []Inventory
		want string
	}{
		"absent":                           {list("e", 9, "a"), []Inventory{inv("a", "e", 1, true), inv("b", "e", 2, true)}, "b "},
		"held is not withdrawn":            {list("e", 9, "a", "held"), []Inventory{inv("a", "e", 1, true), inv("held", "e", 2, true)}, ""},
		"the list is older":                {list("e", 9, "a"), []Inventory{inv("a", "e", 1, true), inv("b", "e", 12, true)}, ""},
		"a list of a retired log":          {list("d", 9, "a"), []Inventory{{Application: "b", Fence: Fence{Epoch: "e", Retired: []string{"d"}}}}, ""},
		"a new log, not corroborated":      {list("f", 3, "a"), []Inventory{inv("a", "e", 1, true), inv("b", "e", 2, true)}, "b?a "},
		"a new log, corroborated":          {list("f", 3, "a"), []Inventory{inv("a", "f", 1, true), inv("b", "e", 2, true)}, "b "},
		"an empty list holds":              {list("e", 9), []Inventory{inv("a", "e", 1, true)}, "a! "},
		"too many at once, all are held":   {list("e", 9, "a"), []Inventory{inv("a", "e", 1, true), inv("b", "e", 2, true), inv("c", "e", 2, true)}, "b! c! "},
		"one is to be said still":          {list("e", 9, "a"), []Inventory{inv("a", "e", 1, true), finished("b"), inv("c", "e", 2, true)}, "c b "},
		"what is said doesn't count":       {list("e", 9, "a", "b"), []Inventory{inv("a", "e", 1, true), inv("b", "e", 1, true), finished("c"), finished("d")}, "c d "},
		"it is declared again":             {list("e", 9, "a"), []Inventory{finished("a")}, ""},
		"half of a fleet of two is let go": {list("e", 9, "a"), []Inventory{inv("a", "e", 1, true), inv("b", "e", 2, true)}, "b "},
	} {
		got := ""
		for _, w := range decideWithdrawals(c.list, c.invs) {
			got += w.Application
			if w.Reason != "" {
				got += "!"
			}
			if w.Unproven != "" {
				got += "?" + w.Unproven
			}
			got += " "
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestARenamedApplicationKeepsItsObjects(t *testing.T) {
	r := newRig(t)
	r.patience = time.Hour
	r.start()
	r.declare("other")
	r.declare("before")
	r.fleet()
	for _, name := range []string{"other", "before"} {
		r.commit(name, configMapYAML(name, "1"))
		r.await(name, "completed", 1)
	}
	uid := r.get(configMaps_, "before").GetUID()
	delete(r.declared, "before")
	r.declare("after")
	for range 4 { // reaches the applier before the bundle of the new name can, and is looked at again and again
		r.fleet()
		r.sync()
		r.begun("before")
	}
	if said := r.events("before", "withdrawn"); len(said) > 0 {
		t.Errorf("a moment's wait was said:%s", r.story("before"))
	}
	r.commit("other", configMapYAML("other", "2"))
	r.await("other", "completed", 2)
	r.commit("after", configMapYAML("before", "1"))
	r.await("after", "completed", 1)
	if gone := r.withdrawn("before", 1); gone.Outcome != events.ActionPassed {
		t.Errorf("got %+v", gone)
	}
	if now := r.get(configMaps_, "before"); now == nil || now.GetUID() != uid || now.GetLabels()[manifest.LabelApplication] != "after" {
		t.Errorf("got %v", now)
	}
}

// How long a withdrawal was put off counts for no later one.
func TestAWithdrawalThatIsTakenBackIsPutOffNoMore(t *testing.T) {
	r := newRig(t)
	r.patience = time.Hour
	r.start()
	r.declare("other")
	for _, name := range []string{"stays", "before"} {
		r.declare(name)
		r.fleet()
		r.commit(name, configMapYAML(name, "1"))
		r.await(name, "completed", 1)
	}
	putOff := func() (since time.Time) {
		r.begun("before")
		r.within("before", func(context.Context) error {
			since = r.last.application("before").putOffSince
			return nil
		})
		return since
	}
	declared := r.declared["before"]
	delete(r.declared, "before")
	r.fleet()
	if putOff().IsZero() {
		t.Fatal("it isn't put off until it is known what other declares")
	}
	r.declared["before"] = declared
	r.fleet()
	r.unchanged("before", configMapYAML("before", "1"))
	if since := putOff(); !since.IsZero() {
		t.Errorf("it is declared again, and put off since %s", since)
	}
}

// A withdrawal that is blocked counts the tries that its timer brings, and none
// that lists and syncs do.
func TestABlockedWithdrawalCountsItsOwnTriesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // no retry does anything
		a := &applier{ctx: ctx, applications: map[string]*application{}}
		app := a.application("shop")
		app.retries = 7 // of its convergence
		for tries, next := range []time.Duration{retryFirst, 2 * retryFirst, 4 * retryFirst} {
			for range 4 {
				if got := a.withdrawAgain(app, nil); got != tries+1 {
					t.Errorf("try %d is number %d", tries+1, got)
				}
				if until := time.Until(app.withdrawAt); until != next {
					t.Errorf("try %d is followed by one in %s, want %s", tries+1, until, next)
				}
			}
			time.Sleep(next) // of the bubble
		}
		app.stays()
		if app.retries != 0 || !app.withdrawAt.IsZero() {
			t.Errorf("it stays, with %d tries, the next at %s", app.retries, app.withdrawAt)
		}
		app.retry.Stop()
	})
}

func TestTheFleetsGuardHoldsWhatIsOrphanedToo(t *testing.T) {
	entry := Entry{Object: events.Object{Version: "v1", Kind: "ConfigMap", Namespace: "ns", Name: "one"}, UID: "u"}
	w := withdrawal{
		Inventory: Inventory{Application: "a", Kept: KeptPolicy{Deletion: events.DeletionOrphan}, Entries: map[string]Entry{entry.Key(): entry}},
		Reason:    events.ReasonWithdrawalGuard,
	}
	live := map[string]Live{entry.Key(): {UID: "u", Owner: "a"}}
	labels := map[string]string{entry.Key(): "a"}
	if plan := planWithdrawal(w, live, withdrawalPolicy{labels: labels}); plan.Hold == nil || plan.Steps[0].Op != OpHold {
		t.Errorf("got\n%s", plan)
	}
	if plan := planWithdrawal(w, live, withdrawalPolicy{labels: labels, approved: w.holdOf()}); plan.Hold != nil || plan.Steps[0].Op != OpOrphan {
		t.Errorf("approved: got\n%s", plan)
	}
	w.Reason = ""
	if plan := planWithdrawal(w, live, withdrawalPolicy{labels: labels}); plan.Hold != nil || plan.Steps[0].Op != OpOrphan {
		t.Errorf("without a guard: got\n%s", plan)
	}
}

// What is offered to another application isn't let go with the rest: once that
// one no longer declares it, the guards stand before it.
func TestPlanWithdrawalKeepsWhatIsOffered(t *testing.T) {
	t.Parallel()
	entries, live, labels := map[string]Entry{}, map[string]Live{}, map[string]string{}
	var keys []string
	for _, kind := range []string{"ConfigMap", "PersistentVolumeClaim"} {
		e := Entry{Object: events.Object{Version: "v1", Kind: kind, Namespace: "ns", Name: "x"}, UID: kind}
		entries[e.Key()], live[e.Key()], labels[e.Key()] = e, Live{UID: kind, Owner: "a"}, "a"
		keys = append(keys, e.Key())
	}
	for _, deletion := range []events.Deletion{events.DeletionDelete, events.DeletionOrphan} {
		for _, observes := range []bool{false, true} {
			for claimed := range 1 << len(keys) {
				w := withdrawal{Inventory: Inventory{Application: "a", Kept: KeptPolicy{Deletion: deletion}, Entries: entries}}
				policy := withdrawalPolicy{labels: labels, claimed: map[string]string{}, observers: map[string]bool{"b": observes}}
				for i, key := range keys {
					if claimed&(1<<i) != 0 {
						policy.claimed[key] = "b"
					}
				}
				checkOffers(t, w, live, policy, deletion == events.DeletionDelete && !observes)
			}
		}
	}
}

func checkOffers(t *testing.T, w withdrawal, live map[string]Live, policy withdrawalPolicy, offers bool) {
	t.Helper()
	plan := planWithdrawal(w, live, policy)
	if plan.Hold != nil {
		policy.approved = plan.Hold.Digest
		plan = planWithdrawal(w, live, policy)
	}
	if plan.Hold != nil {
		t.Fatalf("approved: %+v", plan.Hold)
	}
	for _, s := range plan.Steps {
		if want := offers && policy.claimed[s.Key()] != ""; (s.Op == OpOffer) != want {
			t.Fatalf("%+v: got\n%s", policy, plan)
		}
	}
	if !offers {
		return
	}
	approved := policy.approved
	w.Inventory, policy.approved = w.release(plan), ""
	if again := planWithdrawal(w, live, policy); again.Hold != nil || w.unreleased(again) || again.String() != plan.String() {
		t.Fatalf("what was let go waits again: %+v\n%s", again.Hold, again)
	}
	dropped := policy.claimed
	policy.claimed, policy.approved = nil, approved
	after := planWithdrawal(w, live, policy)
	for key := range dropped {
		guarded := w.Entries[key].Kind == "PersistentVolumeClaim"
		if held := after.Hold != nil && slices.Contains(after.Hold.Objects, w.Entries[key].Object); guarded && !held || !guarded && !held && !w.unreleased(after) {
			t.Fatalf("it is let go unseen:\n%s", after)
		}
	}
}
