// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Kube is the rig's own view of the cluster, independent of Plumbline's.
type Kube struct {
	Dynamic dynamic.Interface
	Typed   kubernetes.Interface
}

// Resources that the demo and the tests look at.
var (
	ConfigMaps   = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	KubeServices = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	Namespaces   = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	Deployments  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
)

// NewKube returns a client without a rate limit of its own.
func NewKube(kubeconfig string) (*Kube, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("rig: kubeconfig: %w", err)
	}
	config.QPS = -1
	config.UserAgent = "plumbline-rig"
	k := &Kube{}
	if k.Dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	if k.Typed, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	return k, nil
}

// Get returns an object, nil where there is none.
func (k *Kube) Get(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	o, err := k.Dynamic.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return o, err
}

// Names lists the objects of an application in a namespace.
func (k *Kube) Names(ctx context.Context, resource schema.GroupVersionResource, namespace, application string) ([]string, error) {
	list, err := k.Dynamic.Resource(resource).Namespace(namespace).List(ctx, metav1.ListOptions{
		LabelSelector: "plumbline.dev/application=" + application,
	})
	if err != nil {
		return nil, err
	}
	names := make([]string, len(list.Items))
	for i := range list.Items {
		names[i] = list.Items[i].GetName()
	}
	return names, nil
}

// Edit changes an object by a JSON merge patch under another manager's name,
// as a person with kubectl would.
func (k *Kube) Edit(ctx context.Context, resource schema.GroupVersionResource, namespace, name, patch, manager string) error {
	_, err := k.Dynamic.Resource(resource).Namespace(namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: manager})
	return err
}

// Moment is one state of an object as the rig's own watch saw it.
type Moment struct {
	Seen   time.Time
	Object *unstructured.Unstructured
	Gone   bool
}

// Watch sends every state of one object from now on, until ctx ends or the
// API server ends the watch; then the channel is closed.
func (k *Kube) Watch(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (<-chan Moment, error) {
	w, err := k.Dynamic.Resource(resource).Namespace(namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return nil, fmt.Errorf("watch %s/%s: %w", resource.Resource, name, err)
	}
	out := make(chan Moment, 64)
	go func() {
		defer close(out)
		defer w.Stop()
		for e := range w.ResultChan() {
			o, ok := e.Object.(*unstructured.Unstructured)
			if !ok {
				continue // a bookmark or an error: the end of the watch says the rest
			}
			select {
			case out <- Moment{time.Now(), o, e.Type == "DELETED"}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}
