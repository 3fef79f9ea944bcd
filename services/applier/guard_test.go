// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

func TestHoldsAPrunePastTheGuardUntilItIsApproved(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	r.commit("shop", manyConfigMaps(6, "1"))
	r.await("shop", "completed", 1)
	r.commit("shop", manyConfigMaps(2, "2"))
	applied := r.applied("shop", 2)
	held := payload[*events.ConvergenceHeld](r.await("shop", "held", 1))
	if applied.Counts != (events.Counts{Configured: 2}) || held.Reason != events.ReasonPruneGuard || held.Objects.Count != 4 {
		t.Errorf("got %+v, %+v", applied.Counts, held)
	}
	if r.get(configMaps_, "c05") == nil {
		t.Error("it was deleted")
	}
	stop()
	stop = r.start()
	r.commit("barrier", configMapYAML("barrier", "1"))
	r.await("barrier", "completed", 1)
	if n := len(r.events("shop", "held")); n != 1 {
		t.Errorf("held was said %d times", n)
	}
	r.approve("shop", "sha256:another")
	r.commit("shop", manyConfigMaps(2, "3")) // waits behind the approval
	again := payload[*events.ConvergenceHeld](r.await("shop", "held", 2))
	if applied := r.applied("shop", 3); applied.Counts.Pruned != 0 || again.Hold == held.Hold {
		t.Errorf("released by another approval: got %+v", applied)
	}
	r.approve("shop", held.Hold) // of the bundle before
	r.approve("shop", again.Hold)
	released := r.applied("shop", 4)
	if released.Cause != causeApproval || released.Counts != (events.Counts{Pruned: 4, Unchanged: 2}) {
		t.Errorf("got %+v", released)
	}
	r.await("shop", "completed", 2)
	if r.get(configMaps_, "c05") != nil {
		t.Error("it is still there")
	}
	stop()
}

func TestHoldsAProtectedKind(t *testing.T) {
	r := newRig(t)
	r.start()
	claim := "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n---\n"
	r.commit("shop", configMapYAML("one", "1")+claim)
	r.applied("shop", 1)
	r.commit("shop", configMapYAML("one", "2"))
	if held := payload[*events.ConvergenceHeld](r.await("shop", "held", 1)); held.Reason != events.ReasonProtectedKind || held.Objects.Items[0].Name != "data" {
		t.Errorf("got %+v", held)
	}
}

func TestKeepsWhatIsNoLongerDeclaredWherePruneIsOff(t *testing.T) {
	r := newRig(t)
	r.declare("shop", func(d *events.Declaration) { d.Converge.Prune = false })
	r.fleet()
	r.start()
	r.commit("shop", configMapYAML("one", "1")+configMapYAML("two", "1"))
	r.await("shop", "completed", 1)
	r.commit("shop", configMapYAML("one", "1"))
	if applied := r.applied("shop", 2); applied.Counts != (events.Counts{Unchanged: 1}) {
		t.Errorf("got %+v", applied.Counts)
	}
	if inv, _ := r.inventory("shop"); len(inv.Entries) != 2 || r.get(configMaps_, "two") == nil {
		t.Errorf("got %+v", inv)
	}
}
