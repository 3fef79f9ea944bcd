// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// waiting waits until an application waits for what is being deleted.
func (r *rig) waiting(name string) {
	r.Helper()
	app := r.last.application(name)
	r.eventually("it waits", func() bool {
		app.mu.Lock()
		defer app.mu.Unlock()
		return len(app.waits) > 0
	})
}

// stuck has an object deleted by hand that takes until it is let go to be gone.
func (r *rig) stuck(name string) (letGo func()) {
	r.Helper()
	r.edit(configMaps_, name, `{"metadata":{"finalizers":["example.com/stay"]}}`)
	r.must(r.client(configMaps_, r.namespace).Delete(r.Context(), name, metav1.DeleteOptions{}))
	return func() { r.edit(configMaps_, name, `{"metadata":{"finalizers":null}}`) }
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
	r.commit("shop", configMapYAML("one", "1")+configMapYAML("stuck", "1"))
	r.await("shop", "completed", 1)
	r.edit(configMaps_, "stuck", `{"metadata":{"finalizers":["example.com/stay"]}}`)
	r.begun("shop")
	waits := r.commit("shop", configMapYAML("one", "2"))
	r.waiting("shop")
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

// A revision that changes nothing of what is applied has no outcome of its own:
// that one of its objects is deleted by hand later, and takes long to go, leaves
// nothing to be overtaken.
func TestAnUnchangedRevisionThatIsDisturbedIsNotSuperseded(t *testing.T) {
	r := newRig(t)
	r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	r.unchanged("shop", configMapYAML("one", "1"))
	r.begun("shop")
	letGo := r.stuck("one")
	r.sync()
	r.waiting("shop")
	r.commit("shop", configMapYAML("one", "2"))
	letGo()
	r.await("shop", "applied", 2)
	r.nats.Idle(t, "applier-local")
	if said := r.events("shop", "superseded"); len(said) > 0 {
		t.Errorf("it is said to be superseded%s", r.story("shop"))
	}
}

// A revision that changes nothing of its bundle, but the declaration, has an
// outcome of its own.
func TestADeclarationThatIsOvertakenIsSuperseded(t *testing.T) {
	r := newRig(t)
	r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	letGo := r.stuck("one")
	r.declare("shop", func(d *events.Declaration) { d.Converge.Prune = false })
	r.fleet()
	declared := r.unchanged("shop", configMapYAML("one", "1"))
	r.waiting("shop")
	r.commit("shop", configMapYAML("one", "2"))
	if said := r.await("shop", "superseded", 1); said.Sequence != declared.Sequence {
		t.Errorf("not of it: %s", r.story("shop"))
	}
	letGo()
	r.await("shop", "applied", 2)
}

// A revision that changes nothing of one that came back to what is applied, and
// has come to nothing, is overtaken as that one is.
func TestAnUnchangedRevisionAfterOneThatCameBackIsSuperseded(t *testing.T) {
	r := newRig(t)
	r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	letGo := r.stuck("one")
	r.commit("shop", configMapYAML("one", "2"))
	r.waiting("shop")
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "superseded", 1)
	last := r.unchanged("shop", configMapYAML("one", "1"))
	r.await("shop", "superseded", 2)
	r.commit("shop", configMapYAML("one", "3"))
	if said := r.await("shop", "superseded", 3); said.Sequence != last.Sequence {
		t.Errorf("not of it: %s", r.story("shop"))
	}
	letGo()
	r.await("shop", "applied", 2)
}

func TestWhatTheLogTellsOfARevision(t *testing.T) {
	said := func(p events.Payload, sequence uint64) events.Event {
		return events.Event{Type: typeOf(p), Epoch: "e", Sequence: sequence, Data: p}
	}
	applied := said(&events.ConvergenceApplied{Converging: events.Converging{Digest: "a"}}, 3)
	rendered := func(digest string, sequence uint64) events.Event {
		return said(&events.ManifestsRendered{Manifests: events.Manifests{Digest: digest}}, sequence)
	}
	unchanged := func(digest string, sequence uint64) events.Event {
		return said(&events.ManifestsUnchanged{Manifests: events.Manifests{Digest: digest}}, sequence)
	}
	for name, c := range map[string]struct {
		last []events.Event
		of   events.Event
		want bool
	}{
		"nothing":                                  {nil, rendered("a", 3), false},
		"it is applied":                            {[]events.Event{applied}, rendered("a", 3), true},
		"it failed":                                {[]events.Event{applied, said(&events.ConvergenceFailed{}, 4)}, rendered("b", 4), true},
		"another one":                              {[]events.Event{applied}, rendered("b", 4), false},
		"the same bundle again, after another":     {[]events.Event{applied}, rendered("a", 5), false},
		"unchanged since it was applied":           {[]events.Event{applied, said(&events.ConvergenceFailed{}, 3)}, unchanged("a", 4), true},
		"unchanged since what isn't applied":       {[]events.Event{applied}, unchanged("b", 5), false},
		"unchanged since it came back":             {[]events.Event{applied, said(&events.ConvergenceFailed{}, 4)}, unchanged("a", 6), false},
		"unchanged since it came back from a hold": {[]events.Event{applied, said(&events.ConvergenceHeld{}, 4)}, unchanged("a", 6), false},
	} {
		l := logged{last: map[string]events.Event{}}
		for _, e := range c.last {
			l.last[e.Type.Verb] = e
		}
		task := &task{event: c.of, app: &application{logged: l}}
		if got := task.told(); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
		task.moved = true
		if got, want := task.told(), c.want && c.of.Type == typeRendered; got != want {
			t.Errorf("%s, and the fence moved for it: got %v", name, got)
		}
	}
}

// What was written before the API server went away is told with the rest.
func TestWhatWasDoneBeforeAnOutageIsTold(t *testing.T) {
	r := newRig(t)
	broken := r.refusing("one")
	refuse, asked := r.wrap, make(chan struct{}, 1)
	r.wrap = func(next http.RoundTripper) http.RoundTripper {
		next = refuse(next)
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.URL.Path == "/readyz" && broken.Load() {
				select {
				case asked <- struct{}{}:
				default:
				}
				return answer(req, http.StatusInternalServerError, "InternalError"), nil
			}
			return next.RoundTrip(req)
		})
	}
	r.start()
	r.commit("shop", configMapYAML("one", "1")+configMapYAML("two", "1"))
	<-asked
	broken.Store(false)
	if counts := r.applied("shop", 1).Counts; counts != (events.Counts{Created: 2}) {
		t.Errorf("got %+v", counts)
	}
}

// What was written before an answer was lost is told although nothing is left to
// do, and not with what is healed much later.
func TestWhatWasDoneBeforeAnAnswerWasLostIsTold(t *testing.T) {
	r := newRig(t)
	var losing atomic.Bool
	written := make(chan struct{})
	r.wrap = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(req)
			if req.Method != http.MethodPatch || err != nil || !losing.Load() {
				return response, err
			}
			switch path.Base(req.URL.Path) {
			case "one": // whole: what follows cancels what is still read
				body, err := io.ReadAll(response.Body)
				response.Body.Close()
				response.Body = io.NopCloser(bytes.NewReader(body))
				close(written)
				return response, err
			case "two":
				<-written
				losing.Store(false)
				response.Body.Close()
				return nil, errors.New("the connection is lost")
			}
			return response, err
		})
	}
	r.start()
	e := r.commit("shop", configMapYAML("one", "1")+configMapYAML("two", "1")+configMapYAML("three", "1"))
	r.await("shop", "completed", 1)
	losing.Store(true)
	r.edit(configMaps_, "one", `{"data":{"key":"by hand"}}`)
	r.edit(configMaps_, "two", `{"data":{"key":"by hand"}}`)
	r.begun("shop")
	r.sync()
	if told := r.applied("shop", 2); told.Cause != causeResync || told.Counts != (events.Counts{Configured: 1, Unchanged: 2}) {
		t.Errorf("got %s, %+v", told.Cause, told.Counts)
	}
	r.edit(configMaps_, "three", `{"data":{"key":"by hand"}}`)
	r.diverged(e, events.Object{Version: "v1", Kind: "ConfigMap", Namespace: r.namespace, Name: "three"})
	if healed := r.applied("shop", 3); healed.Counts != (events.Counts{Configured: 1, Unchanged: 2}) {
		t.Errorf("the heal tells %+v", healed.Counts)
	}
}
