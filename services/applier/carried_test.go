// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// refusing answers no write of an object as long as it says so.
func (r *rig) refusing(name string) (broken *atomic.Bool) {
	broken = &atomic.Bool{}
	broken.Store(true)
	transport := &counted{before: func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPatch && path.Base(req.URL.Path) == name && broken.Load() {
			return answer(req, http.StatusInternalServerError, "InternalError"), nil
		}
		return nil, nil
	}}
	r.wrap = transport.wrap
	return broken
}

// What the tries of one applier have done, and another has brought to its end and
// told, is nothing that a later heal did.
func TestWhatAnotherApplierHasToldIsNotToldWithAHeal(t *testing.T) {
	r := newRig(t)
	r.refusing("one")
	r.start()
	e := r.commit("shop", configMapYAML("one", "1")+configMapYAML("two", "1"))
	r.await("shop", "failed", 1)
	r.wrap = nil
	stop := r.start()
	r.await("shop", "completed", 1)
	stop()
	r.edit(configMaps_, "two", `{"data":{"key":"by hand"}}`)
	r.diverged(e, events.Object{Version: "v1", Kind: "ConfigMap", Namespace: r.namespace, Name: "two"})
	if healed := r.applied("shop", 2); healed.Counts != (events.Counts{Configured: 1, Unchanged: 1}) {
		t.Errorf("got %+v%s", healed.Counts, r.story("shop"))
	}
}

// A revision that waits, and that another applier brings to its end, is overtaken
// by none.
func TestWhatAnotherApplierHasFinishedIsNotSuperseded(t *testing.T) {
	r := newRig(t)
	var held atomic.Bool
	reached, resume := make(chan struct{}, 1), make(chan struct{})
	release := sync.OnceFunc(func() { close(resume) })
	t.Cleanup(release)
	transport := &counted{before: func(_ int, req *http.Request) (*http.Response, error) {
		if held.Load() && strings.HasSuffix(req.URL.Path, inventoryName("shop")) {
			select {
			case reached <- struct{}{}:
			default:
			}
			<-resume
		}
		return nil, nil
	}}
	r.wrap = transport.wrap
	r.start()
	app := r.last.application("shop")
	r.commit("shop", configMapYAML("one", "1")+configMapYAML("stuck", "1"))
	r.await("shop", "completed", 1)
	r.edit(configMaps_, "stuck", `{"metadata":{"finalizers":["example.com/stay"]}}`)
	r.begun("shop")
	waits := r.commit("shop", configMapYAML("one", "2"))
	r.eventually("it waits", func() bool {
		app.mu.Lock()
		defer app.mu.Unlock()
		return len(app.waits) > 0
	})
	held.Store(true)
	r.edit(configMaps_, "stuck", `{"metadata":{"finalizers":null}}`)
	<-reached
	r.wrap = nil
	stop := r.start()
	r.await("shop", "completed", 2)
	stop()
	held.Store(false)
	release()
	r.commit("shop", configMapYAML("one", "3"))
	r.await("shop", "completed", 3)
	for _, e := range r.events("shop", "superseded") {
		if e.Sequence == waits.Sequence {
			t.Errorf("it is said to be superseded%s", r.story("shop"))
		}
	}
	if applied := r.applied("shop", 3); applied.Counts != (events.Counts{Configured: 1, Pruned: 1}) {
		t.Errorf("what the other found gone is not told: %+v", applied.Counts)
	}
}

// A revision that changes nothing goes on with what the one before it began.
func TestARevisionThatChangesNothingTellsWhatTheOneBeforeDid(t *testing.T) {
	r := newRig(t)
	broken := r.refusing("one")
	r.start()
	bundle := configMapYAML("one", "1") + configMapYAML("two", "1")
	r.commit("shop", bundle)
	r.await("shop", "failed", 1)
	r.unchanged("shop", bundle)
	r.await("shop", "failed", 2)
	broken.Store(false)
	if counts := r.applied("shop", 1).Counts; counts != (events.Counts{Created: 2}) {
		t.Errorf("got %+v", counts)
	}
}
