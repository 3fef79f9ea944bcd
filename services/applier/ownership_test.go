// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

func TestAdoptsWhatNobodyOwnsAndSaysSo(t *testing.T) {
	r := newRig(t)
	was := r.create(configMaps_, r.namespace, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {key: old, other: stays}\n")
	r.start()
	r.commit("shop", configMapYAML("one", "1")+configMapYAML("two", "1"))
	applied := r.applied("shop", 1)
	if applied.Counts != (events.Counts{Created: 1, Adopted: 1}) || applied.Objects.Items[0].Action != events.ActionAdopted {
		t.Errorf("got %+v", applied)
	}
	one := r.get(configMaps_, "one")
	data, _, _ := nestedMap(one.Object, "data")
	if one.GetUID() != was.GetUID() || data["key"] != "1" || data["other"] != "stays" {
		t.Errorf("got %v", one.Object)
	}
}

func TestAdoptsManyWithOneList(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"c00", "c03"} {
		r.create(configMaps_, r.namespace, configMapYAML(name, "old"))
	}
	transport := &counted{}
	r.wrap = transport.wrap
	r.start()
	r.commit("shop", manyConfigMaps(6, "1"))
	if applied := r.applied("shop", 1); applied.Counts != (events.Counts{Created: 4, Adopted: 2}) {
		t.Errorf("got %+v", applied.Counts)
	}
	lists := 0
	for _, line := range transport.requests() {
		if line == "GET /api/v1/namespaces/"+r.namespace+"/configmaps" {
			lists++
		} else if strings.HasPrefix(line, "GET /api/v1/namespaces/"+r.namespace) {
			t.Errorf("sent %s", line)
		}
	}
	if lists != 1 {
		t.Errorf("%d lists", lists)
	}
}

func TestAdvisoryC11RefusesAnotherApplicationsObjectsBeforeAnyWrite(t *testing.T) {
	r := newRig(t)
	r.start()
	r.declare("first")
	r.declare("second")
	r.fleet()
	r.commit("first", configMapYAML("one", "1"))
	r.await("first", "completed", 1)
	r.commit("second", configMapYAML("new", "1")+configMapYAML("one", "2"))
	failed := payload[*events.ConvergenceFailed](r.await("second", "failed", 1))
	if failed.Reason != events.ReasonOwnedByOther || failed.Failed != 1 || failed.Failures[0].Name != "one" ||
		failed.Failures[0].File != "app.yaml" || failed.Failures[0].Line != 6 || !strings.Contains(failed.Message, "application first") {
		t.Errorf("got %+v", failed)
	}
	if r.get(configMaps_, "new") != nil {
		t.Error("something was written")
	}

	t.Run("it passes on once the first one no longer declares it", func(t *testing.T) {
		uid := r.get(configMaps_, "one").GetUID()
		r.commit("first", configMapYAML("mine", "1"))
		applied := r.applied("first", 2)
		if applied.Counts.Pruned != 0 || !strings.Contains(actions(applied.Objects.Items), "one=passed") {
			t.Errorf("got %+v", applied)
		}
		if got := r.applied("second", 1); got.Counts != (events.Counts{Created: 1, Adopted: 1}) {
			t.Errorf("got %+v", got.Counts)
		}
		one := r.get(configMaps_, "one")
		if one.GetUID() != uid || one.GetLabels()[manifest.LabelApplication] != "second" {
			t.Errorf("got %v", one.Object["metadata"])
		}
	})
}

func actions(items []events.AppliedObject) string {
	var b strings.Builder
	for _, o := range items {
		b.WriteString(o.Name + "=" + string(o.Action) + " ")
	}
	return b.String()
}

func TestRefusesWhatMustNotBeWritten(t *testing.T) {
	r := newRig(t)
	r.start()
	for name, c := range map[string]struct {
		yaml   string
		reason events.Reason
	}{
		"reserved namespace": {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: plumbline-system}\n", events.ReasonNotPermitted},
		"our own namespace":  {"apiVersion: v1\nkind: Namespace\nmetadata: {name: plumbline-system}\n", events.ReasonNotPermitted},
		"wrong scope":        {"apiVersion: v1\nkind: Namespace\nmetadata: {name: x, namespace: other}\n", events.ReasonNotPermitted},
		"unknown kind":       {"apiVersion: example.com/v1\nkind: Nothing\nmetadata: {name: x}\n", events.ReasonUnknownKind},
	} {
		t.Run(name, func(t *testing.T) {
			app := strings.ReplaceAll(name, " ", "-")
			r.commit(app, configMapYAML("innocent", "1")+c.yaml)
			failed := payload[*events.ConvergenceFailed](r.await(app, "failed", 1))
			if failed.Reason != c.reason || failed.Failures[0].Line != 6 {
				t.Errorf("got %+v", failed)
			}
			if r.get(configMaps_, "innocent") != nil {
				t.Error("something was written")
			}
		})
	}
}

func TestRebuildsALostInventoryAndPrunesAfterOneFullCompare(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	r.commit("lost", manyConfigMaps(6, "1"))
	r.await("lost", "completed", 1)
	stop()
	r.must(r.admin.Resource(configMaps_).Namespace(systemNamespace).Delete(r.Context(), inventoryName("lost"), metav1.DeleteOptions{}))
	r.commit("lost", manyConfigMaps(5, "1"))
	r.start()
	applied := r.applied("lost", 2)
	if applied.Counts != (events.Counts{Configured: 5, Pruned: 1}) {
		t.Errorf("got %+v", applied)
	}
	if inv, _ := r.inventory("lost"); len(inv.Entries) != 5 || !inv.Fence.Compared {
		t.Errorf("got %+v", inv)
	}
}

func TestAnObjectWithoutOurLabelIsNotTakenForGone(t *testing.T) {
	r := newRig(t)
	transport := &counted{}
	var body atomic.Value
	transport.before = func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPatch && path.Base(req.URL.Path) == "one" {
			sent, err := sends(req)
			if err != nil {
				return nil, err
			}
			body.Store(sent)
		}
		return nil, nil
	}
	r.wrap = transport.wrap
	stop := r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	stop()
	r.edit(configMaps_, "one", `{"metadata":{"labels":null}}`)
	uid := r.get(configMaps_, "one").GetUID()
	r.start()
	r.commit("shop", configMapYAML("one", "2"))
	if applied := r.applied("shop", 2); applied.Counts != (events.Counts{Configured: 1}) {
		t.Errorf("got %+v", applied.Counts)
	}
	if sent, _ := body.Load().(string); !strings.Contains(sent, string(uid)) || !strings.Contains(sent, `"resourceVersion"`) {
		t.Errorf("written without preconditions: %s", sent)
	}
}
