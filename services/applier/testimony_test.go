// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// A log that was put back while nobody who had seen more of it lived on: the
// cluster has, and what is new would be taken for old until the log got there.
func TestTheClusterKnowsThatTheLogWasPutBack(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	stop()
	before, _ := r.inventory("shop")

	again := rigOn(t, r.lab) // another log, in the same life as the first one
	again.namespace = r.namespace
	epoch := again.nats.Provision(t).Log.Epoch
	inv := before
	inv.ResourceVersion, inv.UID = "", ""
	inv.Fence.Epoch, inv.Fence.Sequence = epoch, 1000
	_, err := newInventories(r.core, nil).write(r.Context(), inv) // the new rig has cleaned it away
	again.must(err)
	again.start()
	again.commit("shop", configMapYAML("one", "2"))
	if said := payload[*events.ConvergenceSuperseded](again.await("shop", "superseded", 1)); said.By != 1000 {
		t.Errorf("got %+v", said)
	}
	if report := again.nats.Provision(t); !report.Restored || report.Log.Epoch == epoch {
		t.Errorf("the log is taken for the one that it was: %+v", report)
	}
	again.commit("shop", configMapYAML("one", "3"))
	again.await("shop", "completed", 1)
}
