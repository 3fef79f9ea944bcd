// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

func TestConvergesAnApplication(t *testing.T) {
	r := newRig(t)
	transport := &counted{}
	r.wrap = transport.wrap
	r.believed = time.Hour // the fence is asked for where that is due, and not for a machine that is slow
	r.start()
	first := r.commit("shop", configMapYAML("one", "1")+configMapYAML("two", "1"))
	applied := r.applied("shop", 1)
	if applied.Counts != (events.Counts{Created: 2}) || len(applied.Objects.Items) != 2 {
		t.Errorf("got %+v", applied)
	}
	if applied.Digest != manifestsOf(first).Digest {
		t.Errorf("got %+v", applied.Converging)
	}
	r.await("shop", "completed", 1)
	r.begun("shop")
	one := r.get(configMaps_, "one")
	if one.GetLabels()[manifest.LabelApplication] != "shop" || one.GetAnnotations()[manifest.AnnotationObject] != applied.Objects.Items[0].Digest {
		t.Errorf("got labels %v, annotations %v", one.GetLabels(), one.GetAnnotations())
	}
	inv, _ := r.inventory("shop")
	if !inv.Fence.Applied || !inv.Fence.Compared || inv.Fence.Sequence != first.Sequence || len(inv.Entries) != 2 {
		t.Errorf("got %+v", inv)
	}

	t.Run("one request per changed object", func(t *testing.T) {
		transport.reset()
		r.commit("shop", configMapYAML("one", "2")+configMapYAML("two", "1"))
		applied := r.applied("shop", 2)
		if applied.Counts != (events.Counts{Configured: 1, Unchanged: 1}) || applied.Cause != causeRevision {
			t.Errorf("got %+v for %s", applied.Counts, applied.Cause) // the first may be found by the look at the start
		}
		if got := transport.requests(); len(got) != 3 || applied.Requests != 3 { // two of the inventory
			t.Errorf("%d requests said, sent %q", applied.Requests, got)
		}
		r.await("shop", "completed", 2)
	})
	t.Run("what is no longer declared is pruned", func(t *testing.T) {
		r.commit("shop", configMapYAML("one", "2"))
		if applied := r.applied("shop", 3); applied.Counts != (events.Counts{Pruned: 1, Unchanged: 1}) {
			t.Errorf("got %+v", applied.Counts)
		}
		if r.get(configMaps_, "two") != nil {
			t.Error("it is still there")
		}
		r.await("shop", "completed", 3)
	})
	t.Run("what changes nothing sends nothing and says nothing", func(t *testing.T) {
		transport.reset()
		before := len(r.events("shop"))
		r.unchanged("shop", configMapYAML("one", "2"))
		r.sync()
		r.edit(configMaps_, "one", `{"data":{"key":"by hand"}}`)
		r.eventually("the edit is put back", func() bool {
			r.sync() // which knows of it when the watch has told
			return r.value("one") == "2"
		})
		applied := r.applied("shop", 4)
		r.await("shop", "completed", 4)
		// The object, and before it the fence is read: no inventory is written.
		if got := transport.requests(); len(got) != 2 || !strings.HasPrefix(got[0], "GET") || !strings.HasPrefix(got[1], "PATCH") || applied.Counts != (events.Counts{Configured: 1}) {
			t.Errorf("%+v, sent %q", applied, got)
		}
		if after := len(r.events("shop")); after != before+2 {
			t.Errorf("said%s", r.story("shop"))
		}
	})
}
