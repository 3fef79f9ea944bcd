// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plumbline-dev/plumbline/events"
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// An outage pauses every application. What one of them alone gets no answer to,
// with the API server there, as behind a proxy that takes offence at one object,
// is that one's own: the others go on, people are told, and it is tried again.
func TestWhatOneApplicationAloneGetsNoAnswerToIsNoOutage(t *testing.T) {
	r := newRig(t)
	transport := &counted{}
	var cut atomic.Bool
	cut.Store(true)
	transport.before = func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPatch && path.Base(req.URL.Path) == "one" && cut.Load() {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, nil
	}
	r.wrap = transport.wrap
	r.start()
	r.commit("crm", configMapYAML("one", "1"))
	failed := payload[*events.ConvergenceFailed](r.await("crm", "failed", 1))
	if failed.Reason != events.ReasonRefused || !strings.Contains(failed.Message, "the API server is there") {
		t.Errorf("got %+v", failed)
	}
	r.commit("shop", configMapYAML("two", "1"))
	r.await("shop", "completed", 1)
	if n := len(r.events("crm", "failed")); n != 1 {
		t.Errorf("it was said %d times:%s", n, r.story("crm"))
	}
	cut.Store(false)
	r.await("crm", "completed", 1)
}

// While a CRD is being deleted, which a finalizer can hold up for ever, discovery
// serves its kind without what writes it.
func TestACRDThatIsBeingDeletedStopsNobodyElse(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	crd := crdYAML("plugs")
	one := "apiVersion: example.com/v1\nkind: Plug\nmetadata: {name: one}\nspec: {pins: "
	r.commit("plug", crd+one+"2}\n")
	r.await("plug", "completed", 1)
	r.edit(custom("plugs"), "one", `{"metadata":{"finalizers":["example.com/held"]}}`)
	r.must(r.admin.Resource(definitions).Delete(r.Context(), "plugs.example.com", metav1.DeleteOptions{}))
	r.eventually("discovery serves it to be read and deleted alone", func() bool { return !slices.Contains(r.verbs("plugs"), "patch") })

	stop()
	r.start() // which knows nothing of the kind but what discovery says now
	r.commit("shop", configMapYAML("two", "1"))
	r.await("shop", "completed", 1)
	r.commit("plug", crd+one+"3}\n")
	failed := payload[*events.ConvergenceFailed](r.await("plug", "failed", 1))
	if failed.Reason != events.ReasonDeletionBlocked || !strings.Contains(failed.Message, "is being deleted") {
		t.Errorf("got %+v", failed)
	}

	r.commit("user", strings.Replace(one, "one", "two", 1)+"2}\n") // of a kind that another application defines
	failed = payload[*events.ConvergenceFailed](r.await("user", "failed", 1))
	if failed.Reason != events.ReasonUnknownKind || !strings.Contains(failed.Message, "the CRD of Plug is being deleted") {
		t.Errorf("got %+v", failed)
	}

	r.edit(custom("plugs"), "one", `{"metadata":{"finalizers":null}}`)
	r.await("plug", "completed", 2)
	r.await("user", "completed", 1)
	if u := r.get(custom("plugs"), "one"); u == nil || u.Object["spec"].(map[string]any)["pins"] != int64(3) {
		t.Errorf("got %v", u)
	}
}

// verbs are those that discovery has for a kind of [crdYAML].
func (r *rig) verbs(plural string) metav1.Verbs {
	r.Helper()
	rc, err := clientcmd.BuildConfigFromFlags("", r.lab.Kubeconfig())
	r.must(err)
	client, err := discovery.NewDiscoveryClientForConfig(rc)
	r.must(err)
	list, err := client.ServerResourcesForGroupVersion("example.com/v1")
	r.must(err)
	for _, resource := range list.APIResources {
		if resource.Name == plural {
			return resource.Verbs
		}
	}
	return nil
}

// What fails is tried again ever more rarely. A heal that fails, too, meanwhile
// makes that no rarer, and a new revision begins anew.
func TestFailuresAreTriedAgainByTheirOwnClock(t *testing.T) {
	synctest.Test(t, failuresAreTriedAgain)
}

func failuresAreTriedAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no retry does anything
	a := &applier{ctx: ctx, applications: map[string]*application{}}
	app := a.application("shop")
	wait := func(cause string) time.Duration {
		a.again(&task{app: app, cause: cause}, Plan{}, true)
		app.mu.Lock()
		defer app.mu.Unlock()
		return time.Until(app.retryAt)
	}
	fire := func() {
		app.mu.Lock()
		defer app.mu.Unlock()
		app.retryAt = time.Time{}
	}
	wait(causeRevision)
	fire()
	if d := wait(causeResync); d <= retryFirst || d > 2*retryFirst {
		t.Errorf("the second time after %s", d)
	}
	for range 8 {
		wait(causeHeal)
	}
	fire()
	if d := wait(causeResync); d > 4*retryFirst {
		t.Errorf("and then after %s", d)
	}
	if d := wait(causeRevision); d > retryFirst {
		t.Errorf("a new revision after %s", d)
	}

	other := a.application("other")
	a.later("other", time.Hour) // as one waits that somebody else keeps writing to
	a.again(&task{app: other, cause: causeHeal}, Plan{}, true)
	other.mu.Lock()
	defer other.mu.Unlock()
	if d := time.Until(other.retryAt); d > retryFirst {
		t.Errorf("what fails while something else is waited for is tried again after %s", d)
	}
}

// That the cluster doesn't serve a kind is learned from discovery or, where that
// was read before, from the answer to a request: one failure, and said once.
func TestAKindThatIsNotServedIsSaidInOneWay(t *testing.T) {
	r := newRig(t)
	o := events.Object{Group: "example.com", Version: "v1", Kind: "Socket", Namespace: r.namespace, Name: "one"}
	_, err := r.client(custom("sockets"), r.namespace).Get(r.Context(), "one", metav1.GetOptions{})
	answered := new(trouble)
	if !errors.As(explain(o, err), &answered) {
		t.Fatal(err)
	}
	r.start()
	r.commit("user", "apiVersion: example.com/v1\nkind: Socket\nmetadata: {name: one}\n")
	failed := payload[*events.ConvergenceFailed](r.await("user", "failed", 1))
	if len(failed.Failures) != 1 {
		t.Fatalf("got %+v", failed)
	}
	read := failed.Failures[0]
	if failed.Reason != answered.Reason || read.Message != answered.Message || read.APIReason != answered.APIReason {
		t.Errorf("discovery has %s %q %s, an answer %s %q %s", failed.Reason, read.Message, read.APIReason, answered.Reason, answered.Message, answered.APIReason)
	}
	placed := *failed
	placed.Failures = []events.ObjectFailure{read}
	placed.Failures[0].Object = o
	if fingerprint(failed) != fingerprint(&placed) {
		t.Error("with a namespace it is another failure")
	}
}
