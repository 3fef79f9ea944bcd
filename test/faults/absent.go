// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plumbline-dev/plumbline/test/rig"
)

// absentFaults take away what objects need to be there at all.
var absentFaults = []Fault{
	{
		Row: "F20", Name: "crd-gone", About: "a CRD deleted with all its objects, at once or held in its end by a finalizer; what discovery said of the kind is out of date, and again when the CRD is back", Weight: 2,
		Hold: Span{time.Second, 4 * time.Second}, Shape: (*Script).widgets, Inject: deleteKind,
	},
	{
		Row: "F20", Name: "crd-and-cr", About: "a CRD and custom resources of it in one commit, changed in the next, and withdrawn together", Weight: 3,
		Hold: Span{0, time.Second}, Shape: (*Script).gadgets,
	},
	{
		Row: "F22", Name: "namespace-terminating", About: "a namespace deleted with all that is in it, held in its end by a finalizer, then gone and made again", Weight: 2,
		Hold: Span{2 * time.Second, 5 * time.Second}, Inject: deleteNamespace,
	},
}

// widgets has custom resources change, and come.
func (s *Script) widgets() {
	for range 3 {
		app, r, ok := s.pick()
		if !ok {
			return
		}
		dir := r.tip.Dirs[app.Name].edit()
		dir.Objects = slices.DeleteFunc(dir.Objects, func(o Object) bool { return o.Kind == "Widget" })
		dir.Objects = append(dir.Objects, Object{Kind: "Widget", Name: app.Name, Fields: map[string]string{"spec.size": s.next()}})
		s.commit(r, map[string]*Dir{app.Name: dir}, "change the widget of "+app.Name)
	}
}

// gadgets declares, for this round alone, a kind and objects of it at once.
func (s *Script) gadgets() {
	app, r, ok := s.pick()
	if !ok {
		return
	}
	crd := Object{Kind: "CustomResourceDefinition", Name: "gadgets." + widgetGroup, Fields: map[string]string{"spec.names.kind": "Gadget"}}
	gadget := func(n int) Object {
		return Object{Kind: "Gadget", Name: fmt.Sprintf("%s-%d", app.Name, n), Fields: map[string]string{"spec.size": s.next()}}
	}
	first := r.tip.Dirs[app.Name].edit()
	first.Objects = append(first.Objects, gadget(0), crd, gadget(1))
	second := first.edit()
	second.Objects[len(second.Objects)-1] = gadget(1)
	second.Objects = append(second.Objects, gadget(2))
	s.forNow(app, r, "declare gadgets, and what they are", first, second)
}

// deleteKind deletes the CRD of the widgets, one of which may have a finalizer;
// lifted, that is gone, and then the CRD is installed again.
func deleteKind(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
	for _, namespace := range w.Plan.Namespaces {
		w.record.add(Record{Hand: &HandDone{Hand: Hand{Kind: "Widget", Namespace: namespace}, Whole: true}})
	}
	widgets := w.Kube.Dynamic.Resource(kinds["Widget"].resource).Namespace(w.Plan.Namespaces[0])
	held := rng.IntN(2) == 0
	if held {
		_, err := widgets.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": widgetGroup + "/v1", "kind": "Widget",
			"metadata": map[string]any{"name": "keeper", "finalizers": []any{"example.com/keep"}},
		}}, metav1.CreateOptions{})
		if err != nil {
			return nil, fmt.Errorf("hold the CRD: %w", err)
		}
	}
	crds := w.Kube.Dynamic.Resource(kinds["CustomResourceDefinition"].resource)
	name := "widgets." + widgetGroup
	if err := crds.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return nil, fmt.Errorf("delete the CRD: %w", err)
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if held {
			_, err := widgets.Patch(ctx, "keeper", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
			if err != nil {
				return fmt.Errorf("let the CRD go: %w", err)
			}
		}
		err := rig.Until(ctx, func(ctx context.Context) (bool, error) {
			_, err := crds.Get(ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err), nil // its end may take a while
		})
		if err != nil {
			return fmt.Errorf("wait for the end of the CRD: %w", err)
		}
		return w.installWidgets(ctx)
	}, nil
}

// deleteNamespace deletes a namespace, in which one object has a finalizer;
// lifted, that is gone, and then the namespace is made again: by us, or by the
// applier if that comes first, as an application of the workload asks for it.
func deleteNamespace(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
	namespaces := w.Kube.Typed.CoreV1().Namespaces()
	name := w.Plan.Namespaces[rng.IntN(len(w.Plan.Namespaces))]
	keeper, err := w.Kube.Typed.CoreV1().ConfigMaps(name).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "keeper", Finalizers: []string{"example.com/keep"}},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("hold the namespace: %w", err)
	}
	was, err := namespaces.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("look at the namespace: %w", err)
	}
	w.record.add(Record{Hand: &HandDone{Hand: Hand{Namespace: name}, Whole: true}})
	if err := namespaces.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return nil, fmt.Errorf("delete the namespace: %w", err)
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		_, err := w.Kube.Typed.CoreV1().ConfigMaps(name).Patch(ctx, keeper.Name, "application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		if err != nil {
			return fmt.Errorf("let the namespace go: %w", err)
		}
		err = rig.Until(ctx, func(ctx context.Context) (bool, error) {
			_, err := namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
			if !apierrors.IsAlreadyExists(err) {
				return err == nil, err
			}
			is, err := namespaces.Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) { // it went meanwhile
				return false, nil
			}
			return err == nil && is.UID != was.UID, err
		})
		if err != nil {
			return fmt.Errorf("make the namespace again: %w; %s", err, w.keeps(name))
		}
		return nil
	}, nil
}

// keeps is what the cluster says keeps a namespace from going.
func (w *World) keeps(namespace string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	n, err := w.Kube.Typed.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("it is %s, and says %+v", n.Status.Phase, n.Status.Conditions)
}
