// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// changedObject is a ConfigMap that others change between the requests of a run,
// at an API server that answers no more than these need.
type changedObject struct {
	run     *run
	watched *kindWatch

	mu      sync.Mutex
	live    *metav1.ObjectMeta // nil: it isn't there
	refuse  int                // what a deletion is answered first; 0: what is right
	then    func()             // what becomes of the object meanwhile; nil: nothing
	fence   string             // resourceVersion of the inventory
	deletes []metav1.DeleteOptions
}

// seenAs is the object as the run has seen it.
var seenAs = metav1.ObjectMeta{
	Name: "a", Namespace: "ns", UID: "uid", ResourceVersion: "7", Labels: map[string]string{manifest.LabelApplication: app},
}

func newChangedObject(t *testing.T) *changedObject {
	t.Helper()
	live := seenAs
	c := &changedObject{live: &live, fence: "1"}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	rc := &rest.Config{Host: server.URL, QPS: -1}
	a := &applier{meter: new(meter), observer: &observer{root: t.Context(), kinds: map[watchScope]*kindWatch{}}}
	var err error
	if a.dynamic, err = dynamic.NewForConfig(rc); err != nil {
		t.Fatal(err)
	}
	if a.metadata, err = metadata.NewForConfig(rc); err != nil {
		t.Fatal(err)
	}
	if a.discovery, err = discovery.NewDiscoveryClientForConfig(rc); err != nil {
		t.Fatal(err)
	}
	core, err := corev1client.NewForConfig(rc)
	if err != nil {
		t.Fatal(err)
	}
	a.inventories = newInventories(core, func() {})
	a.scopes = newScopes(a.discovery, a.meter)
	a.scopes.found[kindVersion{GroupKind: schema.GroupKind{Kind: "ConfigMap"}}] = resource{schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, true}
	object := configMap("a")
	scope := a.observer.scope(object)
	c.watched = newKindWatch(scope, func(string, string) {}, func() {})
	a.observer.kinds[scope] = c.watched
	c.run = &run{applier: a, application: app, inventory: Inventory{Application: app, ResourceVersion: "1"}, confirmed: time.Now().Add(time.Hour)}
	return c
}

func (c *changedObject) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	answer := func(code int, body any) {
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body) // who asked has gone
	}
	status := func(code int, reason metav1.StatusReason) {
		details := &metav1.StatusDetails{Name: "a", Kind: "configmaps"}
		answer(code, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Details: details})
	}
	switch {
	case req.URL.Path == "/api":
		answer(http.StatusOK, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case req.URL.Path == "/apis":
		answer(http.StatusOK, metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}})
	case req.URL.Path == "/api/v1":
		answer(http.StatusOK, metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "v1", APIResources: []metav1.APIResource{
			{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: metav1.Verbs{"delete", "list", "patch"}},
		}})
	case strings.HasSuffix(req.URL.Path, "/"+inventoryName(app)):
		answer(http.StatusOK, metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"},
			ObjectMeta: metav1.ObjectMeta{Name: inventoryName(app), Namespace: systemNamespace, UID: "inventory", ResourceVersion: c.fence},
		})
	case strings.HasPrefix(req.URL.Path, "/apis/example.com/"):
		c.notServed(w, req)
	case req.URL.Path != "/api/v1/namespaces/ns/configmaps/a":
		status(http.StatusTeapot, metav1.StatusReasonUnknown)
	case req.Method == http.MethodDelete:
		var options metav1.DeleteOptions
		_ = json.NewDecoder(req.Body).Decode(&options) // then it shows nothing
		c.deletes = append(c.deletes, options)
		code := c.refuse
		c.refuse = 0
		if c.then != nil {
			c.then()
			c.then = nil
		}
		switch {
		case code == http.StatusForbidden:
			status(code, metav1.StatusReasonForbidden)
		case code == http.StatusConflict:
			status(code, metav1.StatusReasonConflict)
		case code == http.StatusNotFound: // as of a resource that a built-in group doesn't have
			answer(code, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: metav1.StatusReasonNotFound, Details: &metav1.StatusDetails{}})
		case c.live == nil:
			status(http.StatusNotFound, metav1.StatusReasonNotFound)
		default:
			status(http.StatusOK, "")
		}
	case c.live == nil:
		status(http.StatusNotFound, metav1.StatusReasonNotFound)
	default:
		answer(http.StatusOK, metav1.PartialObjectMetadata{
			TypeMeta: metav1.TypeMeta{Kind: "PartialObjectMetadata", APIVersion: "meta.k8s.io/v1"}, ObjectMeta: *c.live,
		})
	}
}

// notServed answers as an API server does about a group that it doesn't serve.
func (c *changedObject) notServed(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodDelete {
		c.deletes = append(c.deletes, metav1.DeleteOptions{})
	}
	http.Error(w, "404 page not found", http.StatusNotFound)
}

// What becomes of an object that is to be written, and isn't as it was seen: it
// is created anew, written as it is now, taken over where nobody has it, or left
// to who has it, or to its end.
func TestAnObjectThatHasChangedIsDecidedAgain(t *testing.T) {
	t.Parallel()
	c := newChangedObject(t)
	every([]int{2, 3, 2, 3}, func(choice []int) {
		exists, owner, deleting := choice[0] == 1, []string{app, "", "other"}[choice[1]], choice[2] == 1
		op := []Op{OpCreate, OpUpdate, OpAdopt}[choice[3]]
		c.live = nil
		if exists {
			live := seenAs
			live.UID, live.ResourceVersion, live.Labels = "anew", "9", map[string]string{manifest.LabelApplication: owner}
			if deleting {
				live.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
			}
			live.ManagedFields = []metav1.ManagedFieldsEntry{{
				Manager: "hpa", Operation: metav1.ManagedFieldsOperationUpdate, FieldsV1: metav1.NewFieldsV1(string(otherOwner[0].Fields)),
			}}
			c.live = &live
		}
		target := target()
		s := Step{Object: target.Object, Target: &target, Op: op, UID: "uid", ResourceVersion: "7"}
		got, err := c.run.lookAgain(t.Context(), s)

		var said *trouble
		if refused := exists && (owner == "other" || deleting); errors.As(err, &said) != refused || !refused && err != nil {
			t.Fatalf("%v: %v", choice, err)
		}
		switch {
		case said != nil:
			// Who has it may keep it for ever; what is being deleted will be gone.
			if said.Again != (owner != "other") || said.Message == "" || got.Op != op || got.UID != "uid" || got.ResourceVersion != "7" {
				t.Fatalf("%v: %+v, %+v", choice, said, got)
			}
			return
		case !exists:
			if got.Op != OpCreate || got.UID != "" || got.ResourceVersion != "" {
				t.Fatalf("%v: got %+v", choice, got)
			}
			return
		}
		want := op
		if op == OpCreate {
			want = OpUpdate
			if owner == "" {
				want = OpAdopt
			}
		}
		if got.Op != want || got.UID != "anew" || got.ResourceVersion != "9" || !slices.Equal(got.Left, target.Ignored) {
			t.Fatalf("%v: want %s, got %+v", choice, want, got)
		}
	})
}

// A deletion is of the object as it was seen. Where that has changed, it is looked
// at again: nothing is deleted that has become another's or that a newer revision
// may want, and nothing counts as gone that is there.
func TestAnObjectIsDeletedAsItWasSeen(t *testing.T) {
	t.Parallel()
	pruned, orphaned := Result{Action: events.ActionPruned, Gone: true}, Result{Action: events.ActionOrphaned, Gone: true}
	live := func(c *changedObject, change func(*metav1.ObjectMeta)) func() {
		return func() { change(c.live) }
	}
	for name, test := range map[string]struct {
		before  func(*changedObject)
		want    Result
		refused bool     // with what is said in the result
		ends    error    // the run
		deletes []string // uid and resourceVersion that each is of
	}{
		"as it was seen": {func(*changedObject) {}, pruned, false, nil, []string{"uid 7"}},
		"gone already":   {func(c *changedObject) { c.live = nil }, pruned, false, nil, []string{"uid 7"}},
		"gone meanwhile": {func(c *changedObject) {
			c.refuse, c.then = http.StatusConflict, func() { c.live = nil }
		}, pruned, false, nil, []string{"uid 7"}},
		"changed, and ours": {func(c *changedObject) {
			c.refuse, c.then = http.StatusConflict, live(c, func(m *metav1.ObjectMeta) { m.ResourceVersion = "8" })
		}, pruned, false, nil, []string{"uid 7", "uid 8"}},
		"made anew, and ours": {func(c *changedObject) {
			c.refuse, c.then = http.StatusConflict, live(c, func(m *metav1.ObjectMeta) { m.UID, m.ResourceVersion = "anew", "9" })
		}, pruned, false, nil, []string{"uid 7", "anew 9"}},
		"another's": {func(c *changedObject) {
			c.refuse, c.then = http.StatusConflict, live(c, func(m *metav1.ObjectMeta) { m.Labels = map[string]string{manifest.LabelApplication: "other"} })
		}, orphaned, false, nil, []string{"uid 7"}},
		"nobody's": {func(c *changedObject) {
			c.refuse, c.then = http.StatusConflict, live(c, func(m *metav1.ObjectMeta) { m.Labels = nil })
		}, orphaned, false, nil, []string{"uid 7"}},
		"being deleted": {func(c *changedObject) {
			c.refuse, c.then = http.StatusConflict, live(c, func(m *metav1.ObjectMeta) { m.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} })
		}, pruned, false, nil, []string{"uid 7"}},
		"a newer revision is applied": {func(c *changedObject) {
			c.refuse, c.then = http.StatusConflict, func() { c.fence, c.live.ResourceVersion = "2", "8" }
		}, Result{}, false, errInventoryChanged, []string{"uid 7"}},
		"its kind isn't served yet": {func(c *changedObject) { c.refuse = http.StatusNotFound }, pruned, false, nil, []string{"uid 7", "uid 7"}},
		"forbidden":                 {func(c *changedObject) { c.refuse = http.StatusForbidden }, Result{}, true, nil, []string{"uid 7"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChangedObject(t)
			test.before(c)
			c.watched.seen[configMap("a").Key()] = sighting{Object: configMap("a"), Live: Live{UID: "of before"}}
			got, err := c.run.remove(t.Context(), Step{Object: configMap("a"), Op: OpDelete, UID: "uid", ResourceVersion: "7"})
			if !errors.Is(err, test.ends) || (err != nil) != (test.ends != nil) {
				t.Fatalf("ended: %v, want %v", err, test.ends)
			}
			if (got.Err != nil) != test.refused || got.Action != test.want.Action || got.Gone != test.want.Gone {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			var deletes []string
			for _, d := range c.deletes {
				if d.Preconditions == nil || d.Preconditions.UID == nil || d.Preconditions.ResourceVersion == nil || d.PropagationPolicy == nil || *d.PropagationPolicy != metav1.DeletePropagationBackground {
					t.Fatalf("a deletion without preconditions, or of what it owns first: %+v", d)
				}
				deletes = append(deletes, fmt.Sprint(*d.Preconditions.UID, " ", *d.Preconditions.ResourceVersion))
			}
			if !slices.Equal(deletes, test.deletes) {
				t.Errorf("deletions of %q, want %q", deletes, test.deletes)
			}
			if _, known := c.watched.seen[configMap("a").Key()]; known == (name == "gone already" || name == "gone meanwhile") {
				t.Errorf("the watch knows it: %t", known)
			}
		})
	}
}

// With the kind, its objects are gone: nothing is asked to be deleted.
func TestAnObjectIsGoneWithItsKind(t *testing.T) {
	t.Parallel()
	c := newChangedObject(t)
	o := events.Object{Group: "example.com", Version: "v1", Kind: "Widget", Namespace: "ns", Name: "a"}
	got, err := c.run.remove(t.Context(), Step{Object: o, Op: OpDelete, UID: "uid", ResourceVersion: "7"})
	if err != nil || got.Err != nil || !got.Gone || len(c.deletes) > 0 {
		t.Errorf("got %+v, %v, %d deletions", got, err, len(c.deletes))
	}
}

// A path that isn't served is no word on the object: discovery is asked anew, and
// says that its kind has gone.
func TestAnObjectWhoseKindHasGoneMeanwhileIsGone(t *testing.T) {
	t.Parallel()
	c := newChangedObject(t)
	o := events.Object{Group: "example.com", Version: "v1", Kind: "Widget", Namespace: "ns", Name: "a"}
	c.run.scopes.found[kindVersion{GroupKind: schema.GroupKind{Group: o.Group, Kind: o.Kind}}] = resource{schema.GroupVersionResource{Group: o.Group, Version: o.Version, Resource: "widgets"}, true}
	got, err := c.run.remove(t.Context(), Step{Object: o, Op: OpDelete, UID: "uid", ResourceVersion: "7"})
	if err != nil || got.Err != nil || !got.Gone || len(c.deletes) != 1 {
		t.Errorf("got %+v, %v, %d deletions", got, err, len(c.deletes))
	}
	if len(c.run.scopes.found) > 0 {
		t.Error("discovery was not read anew")
	}
}

// A deleted object that a finalizer keeps isn't gone: it is waited for, but not
// for ever.
func TestADeletedObjectIsGoneWhenTheWatchSaysSo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		gone time.Duration // when the watch sees it gone; 0: never
		as   func(*kindWatch)
		want bool
		took time.Duration // at least
	}{
		"in a while": {time.Second, func(w *kindWatch) { w.drop(configMap("a").Key()) }, true, time.Second},
		"made anew": {time.Second, func(w *kindWatch) {
			w.keep(sighting{Object: configMap("a"), Live: Live{UID: "anew", ResourceVersion: "9"}})
		}, true, time.Second},
		"never":            {0, nil, false, removalWait},
		"later than that":  {removalWait + time.Second, func(w *kindWatch) { w.drop(configMap("a").Key()) }, false, removalWait},
		"who asks is gone": {-1, nil, false, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			a := &applier{observer: &observer{kinds: map[watchScope]*kindWatch{}}}
			scope := a.observer.scope(configMap("a"))
			w := newKindWatch(scope, func(string, string) {}, func() {})
			a.observer.kinds[scope] = w
			w.seen[configMap("a").Key()] = sighting{Object: configMap("a"), Live: Live{UID: "uid", ResourceVersion: "8"}}
			switch {
			case test.gone > 0:
				time.AfterFunc(test.gone, func() { test.as(w) })
			case test.gone < 0:
				cancel()
			}
			began := time.Now()
			got, err := (&run{applier: a}).removed(ctx, Step{Object: configMap("a"), UID: "uid"})
			if got.Gone != test.want || (err != nil) != (test.gone < 0) || time.Since(began) < test.took {
				t.Errorf("%s: %+v, %v after %s", name, got, err, time.Since(began))
			}
		})
	}
}
