// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumbline-dev/plumbline/events"
)

// nextOf changes ten of twenty objects, removes five and adds five.
func nextOf(round int) string {
	var b strings.Builder
	for i := range 20 {
		switch {
		case i < 10:
			b.WriteString(configMapYAML(fmt.Sprintf("c%02d", i), fmt.Sprint("new", round)))
		case i < 15:
			b.WriteString(configMapYAML(fmt.Sprintf("c%02d", i), "old"))
		default:
			b.WriteString(configMapYAML(fmt.Sprintf("d%02d", i), "old"))
		}
	}
	return b.String()
}

// state is everything of an application in the cluster, by name.
func (r *rig) state(name string) map[string]string {
	r.Helper()
	list, err := r.client(configMaps_, r.namespace).List(r.Context(), metav1.ListOptions{LabelSelector: "plumbline.dev/application=" + name})
	r.must(err)
	state := map[string]string{}
	for _, u := range list.Items {
		data, _, _ := nestedMap(&u, "data")
		state[u.GetName()] = fmt.Sprint(data, u.GetLabels(), u.GetAnnotations()["plumbline.dev/object"] != "")
	}
	return state
}

func nestedMap(of any, field string) (map[string]any, bool, error) {
	switch u := of.(type) {
	case *unstructured.Unstructured:
		if u == nil {
			return nil, false, nil
		}
		return unstructured.NestedMap(u.Object, field)
	case map[string]any:
		return unstructured.NestedMap(u, field)
	}
	return nil, false, fmt.Errorf("%T", of)
}

func TestKilledAfterEveryWriteItResumesToTheSameEnd(t *testing.T) {
	r := newRig(t)
	// Two writes are of the inventory: before the first of an object, and after
	// the last.
	for k := range 22 {
		t.Run(fmt.Sprint("after ", k), func(t *testing.T) {
			applied := len(r.events("shop", "completed"))
			r.wrap = nil
			stop := r.start()
			r.commit("shop", manyConfigMaps(20, "old"))
			r.await("shop", "completed", applied+1)
			stop()

			transport := &counted{}
			died := make(chan struct{})
			transport.before = func(n int, _ *http.Request) (*http.Response, error) {
				if n > k {
					select {
					case <-died:
					default:
						close(died)
					}
					return nil, errors.New("killed")
				}
				return nil, nil
			}
			r.wrap = transport.wrap
			stop = r.start()
			r.commit("shop", nextOf(k))
			<-died
			stop()
			inv, _ := r.inventory("shop")
			for name := range r.state("shop") {
				if _, ok := inv.Entries["/ConfigMap/"+r.namespace+"/"+name]; !ok {
					t.Errorf("%s is orphaned: it is in no inventory", name)
				}
			}

			r.wrap = nil
			stop = r.start()
			r.await("shop", "completed", applied+2)
			want := map[string]string{}
			for i := range 20 {
				name, value := fmt.Sprintf("c%02d", i), "old"
				if i < 10 {
					value = fmt.Sprint("new", k)
				}
				if i >= 15 {
					name = fmt.Sprintf("d%02d", i)
				}
				want[name] = fmt.Sprint(map[string]any{"key": value}, map[string]string{"plumbline.dev/application": "shop"}, true)
			}
			if got := r.state("shop"); !maps.Equal(got, want) {
				t.Errorf("got %v\nwant %v", got, want)
			}
			inv, _ = r.inventory("shop")
			if len(inv.Entries) != 20 || !inv.Fence.Applied {
				t.Errorf("the inventory holds %v, fence %+v", slices.Sorted(maps.Keys(inv.Entries)), inv.Fence)
			}
			stop()
		})
	}
}

// The last write of a run is that of the inventory, and then it is said what
// was done: dead in between, nobody would ever hear of it.
func TestKilledBeforeItSaysWhatItDidItSaysItLater(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	stop()

	died := make(chan struct{})
	var writes atomic.Int32
	r.wrap = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method != http.MethodPut || !strings.HasSuffix(req.URL.Path, inventoryName("shop")) || writes.Add(1) != 2 {
				return next.RoundTrip(req)
			}
			if response, err := next.RoundTrip(req); err == nil {
				response.Body.Close() //nolint:errcheck // it is not read
			}
			close(died)
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
	}
	stop = r.start()
	r.commit("shop", configMapYAML("one", "2"))
	<-died
	stop()
	if inv, _ := r.inventory("shop"); !inv.Fence.Applied || len(r.events("shop", "applied")) != 1 {
		t.Fatalf("not killed where it was meant to: %+v%s", inv.Fence, r.story("shop"))
	}
	r.wrap = nil
	r.start()
	applied := r.applied("shop", 2)
	if completed := payload[*events.ConvergenceCompleted](r.await("shop", "completed", 2)); completed.Digest != applied.Digest || applied.Revision.Commit == "" {
		t.Errorf("got %+v and %+v", applied, completed)
	}
	if inv, _ := r.inventory("shop"); applied.Digest != inv.Fence.Digest {
		t.Errorf("said %s, stands at %s", applied.Digest, inv.Fence.Digest)
	}
}
