// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"os"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// lose has the bus lose everything.
func (r *rig) lose() {
	r.Helper()
	store := r.nats.Store()
	r.nats.Down(r)
	r.must(os.RemoveAll(store))
	r.up()
	r.fleet()
}

// loseUnder has the bus lose everything once an application has converged and the
// applier has ended, and returns what the inventory is then.
func (r *rig) loseUnder(name, yaml string) Inventory {
	r.Helper()
	stop := r.start()
	r.commit(name, yaml)
	r.await(name, "completed", 1)
	stop()
	inv, there := r.inventory(name)
	if !there || inv.Fence.Digest == "" {
		r.Fatalf("%s converged, and its inventory is %+v", name, inv)
	}
	r.lose()
	return inv
}

// value is data.key of a ConfigMap that is there.
func (r *rig) value(name string) any {
	r.Helper()
	data, there, err := nestedMap(r.get(configMaps_, name), "data")
	r.must(err)
	if !there {
		r.Fatalf("%s has no data", name)
	}
	return data["key"]
}

// broken publishes a revision that can't be rendered.
func (r *rig) broken(name string) {
	r.Helper()
	c, p := r.observe(name)
	r.publish(c, &events.RenderFailed{Revision: p.Revision, Declaration: p.Declaration, Reason: events.ReasonSyntax, Message: "x"})
}

// The bus has lost everything, and the newest commit can't be rendered. What is
// in force was said again before it: an applier that comes after both, and knows
// nothing, takes it up, and what somebody edits then is put back.
func TestTakesUpWhatIsInForceInANewLifeOfTheLog(t *testing.T) {
	r := newRig(t)
	before := r.loseUnder("shop", configMapYAML("one", "1"))
	e := r.commit("shop", configMapYAML("one", "1"))
	r.broken("shop")
	r.edit(configMaps_, "one", `{"data":{"key":"by hand"}}`)
	r.start()
	r.eventually("the fence is in the new life of the log", func() bool {
		inv, there := r.inventory("shop")
		return there && inv.Fence.Epoch == e.Epoch && inv.Fence.Sequence == e.Sequence && inv.Fence.Digest == before.Fence.Digest
	})
	r.eventually("the edit is put back", func() bool { return r.value("one") == "1" })
	r.edit(configMaps_, "one", `{"data":{"key":"by hand again"}}`)
	r.diverged(e, events.Object{Version: "v1", Kind: "ConfigMap", Namespace: r.namespace, Name: "one"})
	r.eventually("what is edited then is put back", func() bool { return r.value("one") == "1" })
}

// Another bundle than the one in force is overtaken by the failure, as in any
// life of the log.
func TestAnotherBundleThanTheOneInForceIsOvertakenInANewLife(t *testing.T) {
	r := newRig(t)
	before := r.loseUnder("shop", configMapYAML("one", "1"))
	r.commit("shop", configMapYAML("one", "0"))
	r.broken("shop")
	superseded := len(r.events("shop", "superseded"))
	r.start()
	r.await("shop", "superseded", superseded+1)
	if inv, there := r.inventory("shop"); !there || !inv.Fence.equal(before.Fence) {
		t.Errorf("the fence went on to %+v", inv.Fence)
	}
	if live := r.value("one"); live != "1" {
		t.Errorf("live is %v", live)
	}
}
