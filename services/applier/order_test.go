// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

func TestLeavesOutASupersededRevision(t *testing.T) {
	r := newRig(t)
	transport := &counted{}
	r.wrap = transport.wrap
	first, p1 := r.observe("shop")
	second, p2 := r.observe("shop")
	r.start()
	r.publish(second, r.render(p2, configMapYAML("one", "2")))
	r.await("shop", "completed", 1)
	transport.reset()
	r.publish(first, r.render(p1, configMapYAML("one", "1"))) // the slower of two renderers
	superseded := payload[*events.ConvergenceSuperseded](r.await("shop", "superseded", 1))
	if superseded.By != second.Sequence || superseded.Revision.Commit != p1.Revision.Commit {
		t.Errorf("got %+v", superseded)
	}
	if got := transport.requests(); len(got) != 0 {
		t.Errorf("sent %q", got)
	}

	t.Run("by a render that failed", func(t *testing.T) {
		third, p3 := r.observe("shop")
		fourth, p4 := r.observe("shop")
		r.publish(fourth, &events.RenderFailed{Revision: p4.Revision, Declaration: p4.Declaration, Reason: events.ReasonSyntax, Message: "x"})
		r.publish(third, r.render(p3, configMapYAML("one", "3")))
		superseded := payload[*events.ConvergenceSuperseded](r.await("shop", "superseded", 2))
		if superseded.By != fourth.Sequence {
			t.Errorf("got %+v", superseded)
		}
	})
}

func TestObserveWritesNothing(t *testing.T) {
	r := newRig(t)
	transport := &counted{}
	r.wrap = transport.wrap
	r.declare("shop")
	r.declare("watched", func(d *events.Declaration) { d.Converge.Mode = events.ModeObserve })
	r.fleet()
	r.start()
	r.commit("watched", configMapYAML("watched", "1"))
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	if r.get(configMaps_, "watched") != nil || len(r.events("watched")) != 0 {
		t.Errorf("it was written, or spoken of:%s", r.story("watched"))
	}

	t.Run("and an application that was written before stays when it is withdrawn", func(t *testing.T) {
		r.declare("shop", func(d *events.Declaration) { d.Converge.Mode = events.ModeObserve })
		r.commit("shop", configMapYAML("one", "2"))
		r.eventually("its inventory knows the mode", func() bool {
			inv, _ := r.inventory("shop")
			return inv.Kept.Mode == events.ModeObserve
		})
		r.declare("third")
		r.commit("third", configMapYAML("third", "1"))
		r.await("third", "completed", 1)
		delete(r.declared, "shop")
		r.fleet()
		if gone := r.withdrawn("shop", 1); gone.Outcome != events.ActionOrphaned || r.get(configMaps_, "one") == nil {
			t.Errorf("got %+v", gone)
		}
	})
}

func TestTheLastOfABurstIsWhatStays(t *testing.T) {
	r := newRig(t)
	for _, v := range []string{"a", "b", "a", "b", "a", "final"} {
		r.commit("shop", configMapYAML("one", v))
	}
	r.start()
	r.eventually("the last one is applied", func() bool {
		u := r.get(configMaps_, "one")
		data, _, _ := nestedMap(u, "data")
		return data["key"] == "final"
	})
	r.await("shop", "completed", 1)
	if n := len(r.events("shop", "applied")); n != 1 {
		t.Errorf("%d were applied:%s", n, r.story("shop"))
	}
}

func TestANewLogIsAcceptedAndAnOldOneIsNot(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	r.commit("shop", manyConfigMaps(6, "1"))
	r.await("shop", "completed", 1)
	before, _ := r.inventory("shop")
	stop()

	again := rigOn(t, r.lab) // another log, the same cluster
	again.namespace = r.namespace
	inv := before
	inv.ResourceVersion, inv.UID = "", ""
	_, err := newInventories(r.core, nil).write(r.Context(), inv) // the new rig has cleaned it away
	again.must(err)
	again.start()
	again.commit("shop", manyConfigMaps(5, "1"))
	applied := again.applied("shop", 1)
	if applied.Counts != (events.Counts{Unchanged: 5, Pruned: 1}) {
		t.Errorf("got %+v", applied)
	}
	after, _ := again.inventory("shop")
	if after.Fence.Epoch == before.Fence.Epoch || len(after.Fence.Retired) != 1 || after.Fence.Retired[0] != before.Fence.Epoch || !after.Fence.Compared {
		t.Errorf("got %+v", after.Fence)
	}
}
