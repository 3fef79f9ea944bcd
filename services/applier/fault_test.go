// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

func TestAnObjectThatChangedMeanwhileIsLookedAtAgain(t *testing.T) {
	r := newRig(t)
	transport := &counted{}
	r.wrap = transport.wrap
	r.believed = time.Hour // the fence is asked for in doubt, and not for a machine that is slow
	r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	var edited atomic.Int32
	transport.mu.Lock()
	transport.before = func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPatch && path.Base(req.URL.Path) == "one" && edited.Add(1) <= 2 {
			r.edit(configMaps_, "one", `{"metadata":{"labels":{"round":"`+string('a'+rune(edited.Load()))+`"}}}`)
		}
		return nil, nil
	}
	transport.mu.Unlock()
	r.commit("shop", configMapYAML("one", "2"))
	applied := r.applied("shop", 2)
	if applied.Counts.Configured != 1 || applied.Requests != 2+3+2*2 { // inventory, PATCH three times, twice the fence and the object looked at
		t.Errorf("got %+v", applied)
	}
	one := r.get(configMaps_, "one")
	data, _, _ := nestedMap(one, "data")
	if data["key"] != "2" || one.GetLabels()["round"] == "" {
		t.Errorf("got %v", one.Object)
	}
}

// A panic in the middle of a write is a failure of that input: the process goes
// on, with what else it has in hand, and the input is tried again.
func TestAPanicInAWriteEndsNoProcess(t *testing.T) {
	r := newRig(t)
	transport := &counted{}
	var panicked atomic.Bool
	transport.before = func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPatch && path.Base(req.URL.Path) == "one" && !panicked.Swap(true) {
			panic("in a goroutine of the handler's")
		}
		return nil, nil
	}
	r.wrap = transport.wrap
	r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.commit("other", configMapYAML("other", "1"))
	r.await("other", "completed", 1)
	r.await("shop", "completed", 1)
	if !panicked.Load() {
		t.Error("nothing panicked")
	}
}

func TestObeysRetryAfter(t *testing.T) {
	r := newRig(t)
	transport := &counted{}
	var refused atomic.Int32
	var first atomic.Int64
	transport.before = func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPatch && refused.Add(1) <= 2 {
			first.CompareAndSwap(0, time.Now().UnixNano())
			return &http.Response{
				StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}},
				Body: io.NopCloser(strings.NewReader("slower")), Request: req,
			}, nil
		}
		return nil, nil
	}
	r.wrap = transport.wrap
	r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	if took := time.Since(time.Unix(0, first.Load())); took < 2*time.Second || refused.Load() != 3 {
		t.Errorf("%d requests in %s", refused.Load(), took)
	}
}

func TestAServerErrorOfOneObjectDoesntStopTheOthers(t *testing.T) {
	r := newRig(t)
	transport := &counted{}
	var broken atomic.Bool
	broken.Store(true)
	transport.before = func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPatch && path.Base(req.URL.Path) == "one" && broken.Load() {
			return &http.Response{
				StatusCode: http.StatusInternalServerError, Header: http.Header{"Content-Type": {"application/json"}},
				Body: io.NopCloser(strings.NewReader(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"InternalError","code":500,"message":"x"}`)), Request: req,
			}, nil
		}
		return nil, nil
	}
	r.wrap = transport.wrap
	r.start()
	r.commit("shop", configMapYAML("one", "1")+configMapYAML("two", "1"))
	failed := payload[*events.ConvergenceFailed](r.await("shop", "failed", 1))
	if failed.Failed != 1 || failed.Failures[0].Name != "one" || failed.Failures[0].APIReason != "InternalError" {
		t.Errorf("got %+v", failed)
	}
	if r.get(configMaps_, "two") == nil {
		t.Error("the other one was not written")
	}
	broken.Store(false) // and it is tried again by itself
	applied := r.applied("shop", 1)
	if applied.Counts != (events.Counts{Created: 2}) { // the first try's is told too
		t.Errorf("got %+v", applied.Counts)
	}
	for _, o := range applied.Objects.Items {
		if u := r.get(configMaps_, o.Name); o.ResourceVersion != u.GetResourceVersion() {
			t.Errorf("the write of %s is said to have come to %q, not %q", o.Name, o.ResourceVersion, u.GetResourceVersion())
		}
	}
	r.await("shop", "completed", 1)
}

func TestSurvivesAnAPIServerThatIsAway(t *testing.T) {
	lab := kubelab.New(t, kubelab.Options{})
	r := rigOn(t, lab)
	r.health = &process.Health{}
	r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	r.must(r.health.Ready())
	r.must(lab.Stop())
	r.commit("shop", configMapYAML("one", "2"))
	r.eventually("readyz says that it is away", func() bool {
		err := r.health.Ready()
		return err != nil && strings.Contains(err.Error(), "cluster: the API server of cluster local does not answer")
	})
	r.must(lab.Restart(r.Context()))
	r.await("shop", "completed", 2)
	r.eventually("readyz says that it is back", func() bool { return r.health.Ready() == nil })
	if list := r.events("shop", "failed"); len(list) > 0 {
		t.Errorf("an outage is no failure:%s", r.story("shop"))
	}
	r.edit(configMaps_, "one", `{"data":{"key":"by hand"}}`)
	r.eventually("the watches are back", func() bool {
		r.sync()
		data, _, _ := nestedMap(r.get(configMaps_, "one"), "data")
		return data["key"] == "2"
	})
}

func TestTwoAppliersOnOneCluster(t *testing.T) {
	r := newRig(t)
	r.start()
	r.start()
	for i := range 10 {
		r.commit("shop", manyConfigMaps(10, string(rune('a'+i))))
	}
	r.eventually("the last one is applied, whole", func() bool {
		list, err := r.client(configMaps_, r.namespace).List(r.Context(), metav1.ListOptions{LabelSelector: "plumbline.dev/application"})
		r.must(err)
		for _, u := range list.Items {
			if data, _, _ := nestedMap(&u, "data"); data["key"] != "j" {
				return false
			}
		}
		return len(list.Items) == 10
	})
	r.await("shop", "completed", 1)
	if failed := r.events("shop", "failed"); len(failed) > 0 {
		t.Errorf("said%s", r.story("shop"))
	}
	inv, _ := r.inventory("shop")
	if inv.Fence.Sequence == 0 || len(inv.Entries) != 10 {
		t.Errorf("got %+v", inv.Fence)
	}
}

func TestAStoppedApplierAsksForTheFenceBeforeItWritesOn(t *testing.T) {
	r := newRig(t)
	transport := &counted{}
	reached, resume := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	transport.before = func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPatch && once.CompareAndSwap(false, true) {
			close(reached)
			<-resume
		}
		return nil, nil
	}
	r.wrap = transport.wrap
	stop := r.start()
	var both strings.Builder
	both.WriteString("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + r.namespace + "-x}\n---\n") // in a batch of its own
	both.WriteString(configMapYAML("one", "stale"))
	r.commit("shop", both.String())
	<-reached
	r.wrap = nil
	// The stopped one may have taken this message too: the other learns of it
	// from the level that it derives when it starts.
	r.commit("shop", configMapYAML("one", "newer"))
	other := r.start()
	release := sync.OnceFunc(func() { close(resume) })
	t.Cleanup(release)
	r.eventually("the other applier has raised the fence", func() bool {
		u := r.get(configMaps_, "one")
		data, _, _ := nestedMap(u, "data")
		return data["key"] == "newer"
	})
	time.AfterFunc(fenceLife, release)
	r.await("shop", "completed", 1)
	<-resume
	r.eventually("the stopped one has asked", func() bool {
		for _, line := range transport.requests() {
			if strings.HasPrefix(line, "GET") && strings.HasSuffix(line, inventoryName("shop")) {
				return true
			}
		}
		return false
	})
	stop()
	other()
	data, _, _ := nestedMap(r.get(configMaps_, "one"), "data")
	if data["key"] != "newer" {
		t.Errorf("got %v", data)
	}
}

func TestTheSameEventTwiceChangesNothing(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	e := r.commit("shop", manyConfigMaps(3, "1"))
	r.await("shop", "completed", 1)
	versions := func() string {
		list, err := r.client(configMaps_, r.namespace).List(r.Context(), metav1.ListOptions{LabelSelector: "plumbline.dev/application"})
		r.must(err)
		s := ""
		for _, u := range list.Items {
			s += u.GetName() + "@" + u.GetResourceVersion() + " "
		}
		return s
	}
	before, said := versions(), len(r.events("shop"))
	stop()
	_, err := r.renderer.Publish(r.Context(), events.Cause{ID: "again", Order: order(e)}, events.Draft{Data: e.Data, Address: e.Address}) // beyond the window for duplicates
	r.must(err)
	stop = r.start()
	r.commit("barrier", configMapYAML("barrier", "1"))
	r.await("barrier", "completed", 1)
	stop()
	if after := versions(); !strings.HasPrefix(after, "barrier") || !strings.HasSuffix(after, before) {
		t.Errorf("got %s, was %s", after, before)
	}
	if now := len(r.events("shop")); now != said {
		t.Errorf("said%s", r.story("shop"))
	}
}

// An object that someone has written meanwhile may be of a newer revision: a
// slow applier that finds it changed asks for the fence before it tries again.
func TestASlowApplierDoesntWriteOverANewerRevision(t *testing.T) {
	for _, method := range []string{http.MethodPatch, http.MethodDelete} {
		t.Run(method, func(t *testing.T) {
			r := newRig(t)
			transport := &counted{}
			reached, resume := make(chan struct{}), make(chan struct{})
			var tried atomic.Int32
			transport.before = func(_ int, req *http.Request) (*http.Response, error) {
				if req.Method != method || path.Base(req.URL.Path) != "one" {
					return nil, nil
				}
				if method == http.MethodPatch { // what it writes of the newer revision is another matter
					if sent, err := sends(req); err != nil || !strings.Contains(sent, "stale") {
						return nil, err
					}
				}
				if tried.Add(1) == 1 {
					close(reached)
					<-resume
				}
				return nil, nil
			}
			r.wrap = transport.wrap
			r.start()
			r.commit("shop", configMapYAML("one", "1")+configMapYAML("two", "1"))
			r.await("shop", "completed", 1)
			uid := r.get(configMaps_, "one").GetUID()
			if method == http.MethodPatch {
				r.commit("shop", configMapYAML("one", "stale")+configMapYAML("two", "1"))
			} else {
				r.commit("shop", configMapYAML("two", "1"))
			}
			<-reached
			r.commit("shop", configMapYAML("one", "newer")+configMapYAML("two", "1"))
			r.wrap = nil
			r.start() // reads the level, and so the newest
			r.eventually("the other applier has written", func() bool {
				data, _, _ := nestedMap(r.get(configMaps_, "one"), "data")
				return data["key"] == "newer"
			})
			close(resume)
			r.await("shop", "superseded", 1)
			one := r.get(configMaps_, "one")
			data, _, _ := nestedMap(one, "data")
			if one == nil || one.GetUID() != uid || data["key"] != "newer" || tried.Load() != 1 {
				t.Errorf("got %v, tried %d times", one, tried.Load())
			}
		})
	}
}

func TestSaysThatAFailureIsOverAlthoughNothingWasToBeDone(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	stop()
	var denied atomic.Bool
	denied.Store(true)
	r.wrap = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.URL.Path == "/api/v1/configmaps" && denied.Load() {
				return &http.Response{
					StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/json"}},
					Body: io.NopCloser(strings.NewReader(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"x"}`)), Request: req,
				}, nil
			}
			return next.RoundTrip(req)
		})
	}
	r.start()
	if failed := payload[*events.ConvergenceFailed](r.await("shop", "failed", 1)); failed.Reason != events.ReasonForbidden {
		t.Errorf("got %+v", failed)
	}
	denied.Store(false)
	if again := r.applied("shop", 2); again.Counts != (events.Counts{Unchanged: 1}) {
		t.Errorf("got %+v", again.Counts)
	}
	r.await("shop", "completed", 2)
}

// An application whose newest revision is refused keeps what it has.
func TestHealsWhileTheNewestRevisionIsRefused(t *testing.T) {
	r := newRig(t)
	r.start()
	e := r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	r.commit("shop", configMapYAML("one", "2")+"apiVersion: example.com/v1\nkind: Nothing\nmetadata: {name: x}\n")
	r.await("shop", "failed", 1)
	r.edit(configMaps_, "one", `{"data":{"key":"by hand"}}`)
	r.diverged(e, events.Object{Version: "v1", Kind: "ConfigMap", Namespace: r.namespace, Name: "one"})
	if healed := r.applied("shop", 2); healed.Digest != manifestsOf(e).Digest || healed.Counts != (events.Counts{Configured: 1}) {
		t.Errorf("got %+v", healed)
	}
}

// One object behind a webhook that hangs is no outage: the others go on.
func TestAnObjectThatGetsNoAnswerHoldsUpNobody(t *testing.T) {
	r := newRig(t)
	r.timeout = 5 * time.Second // which the other object's write has as well
	r.wrap = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPatch && path.Base(req.URL.Path) == "hangs" {
				<-req.Context().Done()
				return nil, req.Context().Err()
			}
			return next.RoundTrip(req)
		})
	}
	r.start()
	r.declare("slow")
	r.declare("shop")
	r.fleet()
	r.commit("slow", configMapYAML("hangs", "1")+configMapYAML("beside", "1"))
	failed := payload[*events.ConvergenceFailed](r.await("slow", "failed", 1))
	if failed.Failed != 1 || failed.Failures[0].Name != "hangs" || !strings.Contains(failed.Message, "webhook") {
		t.Errorf("got %+v", failed)
	}
	if r.get(configMaps_, "beside") == nil {
		t.Error("the other one was not written")
	}
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
}
