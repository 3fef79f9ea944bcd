// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	kube "github.com/plumbline-dev/plumbline/internal/cluster"
)

// What was said of a kind counts until the kinds are asked for anew: one that comes
// back may have another scope.
func TestAKindThatComesBackWithAnotherScope(t *testing.T) {
	r := newRigAlone(t)
	config, err := kube.Config(r.cluster.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCluster("local", config, "test")
	if err != nil {
		t.Fatal(err)
	}
	definitions := r.client(gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), "")
	a := r.app("gadgets")
	scope := func(definition string) (namespaced bool) {
		t.Helper()
		a.commit()
		a.render(definition)
		a.writeAll()
		r.established(gadgetsName)
		bustest.Eventually(t, "the kind is served", func() bool {
			_, namespaced, err = c.resource(t.Context(), schema.GroupKind{Group: "lab.example", Kind: "Gadget"}, "v1")
			return err == nil
		})
		return namespaced
	}
	if !scope(gadgetDefinition) {
		t.Error("gadgets have no namespace")
	}
	if err := definitions.Delete(t.Context(), gadgetsName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	var left *unstructured.Unstructured
	defer func() {
		if t.Failed() && left != nil {
			t.Logf("it was left as %v", left.Object["status"])
		}
	}()
	asked := time.Now()
	bustest.Eventually(t, "the definition is gone", func() bool {
		if left, err = definitions.Get(t.Context(), gadgetsName, metav1.GetOptions{}); err != nil {
			return true
		}
		if time.Since(asked) > 10*time.Second {
			// The API server finalizes it, after errors ever more rarely, and again
			// at once where it changes (apiextensions' pkg/controller/finalizer).
			asked = time.Now()
			patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"lab.example/asked":%q}}}`, asked)
			_, _ = definitions.Patch(t.Context(), gadgetsName, types.MergePatchType, patch, metav1.PatchOptions{}) // it may have gone
		}
		return false
	})
	wide := strings.Replace(gadgetDefinition, "scope: Namespaced", "scope: Cluster", 1)
	scope(wide)
	c.rediscover(time.Now())
	if scope(wide) {
		t.Error("gadgets have a namespace still")
	}
}
