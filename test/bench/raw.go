// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// rawWorkers is how many requests the raw program has under way at once.
const rawWorkers = 32

// raw is the raw limit: a bare client-go program that knows what to write and
// writes it, without a rate limit.
type raw struct {
	dynamic dynamic.Interface
	typed   kubernetes.Interface
}

func newRaw(kubeconfig string) (*raw, error) {
	config, err := unlimited(kubeconfig, "bench-raw")
	if err != nil {
		return nil, err
	}
	r := &raw{}
	if r.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	r.typed, err = kubernetes.NewForConfig(config)
	return r, err
}

// each does n tasks, as many at once as there are workers.
func each(ctx context.Context, n int, do func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(rawWorkers)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

// namespaces makes the namespaces of n applications before anything is
// measured, and waits for what the cluster puts into each.
func (r *raw) namespaces(ctx context.Context, n int) error {
	namespaces := r.typed.CoreV1().Namespaces()
	if err := each(ctx, n, func(ctx context.Context, i int) error {
		_, err := namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: application(i)}}, metav1.CreateOptions{})
		return err
	}); err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		accounts, err := r.typed.CoreV1().ServiceAccounts("").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=default"})
		if err != nil {
			return fmt.Errorf("make namespaces: %w", err)
		}
		roots, err := r.typed.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=kube-root-ca.crt"})
		if err != nil {
			return fmt.Errorf("make namespaces: %w", err)
		}
		if len(accounts.Items) >= n && len(roots.Items) >= n {
			return nil
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("make namespaces: %w", err)
		}
	}
}

// apply writes one object by a server-side apply.
func (r *raw) apply(ctx context.Context, kind, namespace, name, marker string) error {
	body, err := yaml.YAMLToJSON([]byte(object(kind, name, marker)))
	if err != nil {
		return err
	}
	force := true
	_, err = r.dynamic.Resource(resources[kind]).Namespace(namespace).Patch(ctx, name, types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: "bench", Force: &force})
	return err
}

// record writes what stands for an application's inventory, as it is before
// and after the writes of a run.
func (r *raw) record(ctx context.Context, application, serial string) error {
	client := r.dynamic.Resource(resources["configmap"]).Namespace("default")
	body := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "record." + application},
		"data": map[string]any{"fence": serial, "entries": fmt.Sprintf("%0900d", 1)},
	}}
	_, err := client.Update(ctx, body, metav1.UpdateOptions{FieldManager: "bench"})
	return err
}

func (r *raw) begin(ctx context.Context, application string) error {
	body := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "record." + application}}
	_, err := r.typed.CoreV1().ConfigMaps("default").Create(ctx, body, metav1.CreateOptions{FieldManager: "bench"})
	return err
}

// recorded is how a raw run writes down what it does, as Plumbline has to.
type recorded int

const (
	unrecorded recorded = iota // the objects alone
	created                    // a record is made before and written after
	updated                    // the record is written before and after
)

// write writes objects of n applications and returns when it began.
func (r *raw) write(ctx context.Context, n int, name, marker string, how recorded, kinds ...string) (time.Time, error) {
	began := time.Now()
	return began, each(ctx, n, func(ctx context.Context, i int) error {
		if how == created {
			if err := r.begin(ctx, application(i)); err != nil {
				return err
			}
		}
		if how == updated {
			if err := r.record(ctx, application(i), marker+"-before"); err != nil {
				return err
			}
		}
		for _, kind := range kinds {
			if err := r.apply(ctx, kind, application(i), name, marker); err != nil {
				return err
			}
		}
		if how == unrecorded {
			return nil
		}
		return r.record(ctx, application(i), marker)
	})
}
