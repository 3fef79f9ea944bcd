// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/plumbline-dev/plumbline/test/rig"
)

// What Plumbline writes into the cluster, as docs and doc.go of the applier
// say it.
const (
	systemNamespace  = "plumbline-system"
	labelInventory   = "plumbline.dev/inventory"
	labelApplication = "plumbline.dev/application"
	annotationObject = "plumbline.dev/object"
	manager          = "plumbline"
)

// clusterWatch records one resource.
type clusterWatch struct {
	*Recorder
	kube       *rig.Kube
	resource   schema.GroupVersionResource
	absent     bool // it may not be served: then there is nothing of it
	namespaces []string
	anew       chan struct{}
	at         string               // resourceVersion to go on from; empty: list first
	known      map[string]State     // by key, for lists and ends
	inventory  map[string]Inventory // by ConfigMap name
}

// watchCluster records every object of the workload's namespaces, and the
// inventories.
func (r *Recorder) watchCluster(ctx context.Context, kube *rig.Kube, namespaces []string) error {
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		w := &clusterWatch{
			Recorder: r, kube: kube, resource: kinds[name].resource, absent: kinds[name].absent, namespaces: namespaces,
			anew: make(chan struct{}, 1), known: map[string]State{}, inventory: map[string]Inventory{},
		}
		r.mu.Lock()
		r.anew[name] = w.anew
		r.mu.Unlock()
		if err := w.list(ctx); err != nil && !(w.absent && apierrors.IsNotFound(err)) {
			return fmt.Errorf("record %s: %w", w.resource.Resource, err)
		}
		r.done.Go(func() { w.run(r.ctx) })
	}
	return nil
}

// run watches until ctx ends, over every outage.
func (w *clusterWatch) run(ctx context.Context) {
	for ctx.Err() == nil {
		var err error
		if w.at == "" {
			err = w.list(ctx)
		}
		if err == nil {
			err = w.watch(ctx)
		}
		patience := 50 * time.Millisecond
		if w.absent && apierrors.IsNotFound(err) {
			w.at, patience = "", 250*time.Millisecond
		}
		if apierrors.IsGone(err) || apierrors.IsResourceExpired(err) || apierrors.IsTimeout(err) {
			w.at = "" // compacted away, or not reached: the cluster has another past
		}
		if err != nil {
			select {
			case <-ctx.Done():
			case <-w.anew:
				w.at = ""
			case <-time.After(patience):
			}
		}
	}
}

func (w *clusterWatch) list(ctx context.Context) error {
	list, err := w.kube.Dynamic.Resource(w.resource).List(ctx, metav1.ListOptions{})
	if w.absent && apierrors.IsNotFound(err) {
		w.unserved()
	}
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for i := range list.Items {
		there[list.Items[i].GetNamespace()+"/"+list.Items[i].GetName()] = true
		w.take(&list.Items[i], false, true)
	}
	version := number(list.GetResourceVersion())
	for key, s := range w.known {
		if !there[s.namespace()+"/"+s.name()] {
			s.Version, s.Listed = version, true
			delete(w.known, key)
			w.add(Record{Gone: &s})
		}
	}
	for name, inv := range w.inventory {
		if !there[systemNamespace+"/"+name] {
			delete(w.inventory, name)
			w.add(Record{Inventory: &Inventory{App: inv.App, UID: inv.UID, Version: version, Gone: true, Listed: true}})
		}
	}
	w.at = list.GetResourceVersion()
	return nil
}

// unserved records that what was there went with its kind: of whose end the
// end of its CRD tells, so that it is nobody's here.
func (w *clusterWatch) unserved() {
	for key, s := range w.known {
		s.App, s.Listed = "", true
		delete(w.known, key)
		w.add(Record{Gone: &s})
	}
}

func (w *clusterWatch) watch(ctx context.Context) error {
	stream, err := w.kube.Dynamic.Resource(w.resource).Watch(ctx, metav1.ListOptions{ResourceVersion: w.at, AllowWatchBookmarks: true})
	if err != nil {
		return err
	}
	defer stream.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.anew:
			w.at = ""
			return nil
		case e, ok := <-stream.ResultChan():
			if !ok {
				return nil
			}
			if e.Type == watch.Error {
				return apierrors.FromObject(e.Object)
			}
			u, ok := e.Object.(*unstructured.Unstructured)
			if !ok {
				continue
			}
			if e.Type != watch.Bookmark {
				w.take(u, e.Type == watch.Deleted, false)
			}
			w.at = u.GetResourceVersion()
		}
	}
}

// take records one state of an object, unless it is known or nobody's of
// interest.
func (w *clusterWatch) take(u *unstructured.Unstructured, gone, listed bool) {
	if u.GetNamespace() == systemNamespace && u.GetLabels()[labelInventory] != "" || w.inventory[u.GetName()].UID != "" && u.GetNamespace() == systemNamespace {
		w.takeInventory(u, gone, listed)
		return
	}
	if !w.ours(u) {
		return
	}
	s := stateOf(u)
	s.Listed = listed
	was, known := w.known[s.Key]
	switch {
	case gone && known:
		delete(w.known, s.Key)
		w.add(Record{Gone: &s})
	case gone, known && was.UID == s.UID && was.Version == s.Version:
	default:
		w.known[s.Key] = s
		w.add(Record{Object: &s})
	}
}

// ours are objects of the workload's namespaces, and cluster-scoped ones with
// an application's label.
func (w *clusterWatch) ours(u *unstructured.Unstructured) bool {
	if u.GetNamespace() == "" {
		return u.GetLabels()[labelApplication] != ""
	}
	return slices.Contains(w.namespaces, u.GetNamespace()) && u.GetName() != "kube-root-ca.crt"
}

func (w *clusterWatch) takeInventory(u *unstructured.Unstructured, gone, listed bool) {
	inv := inventoryOf(u)
	inv.Listed = listed
	if gone {
		inv = Inventory{App: inv.App, UID: inv.UID, Version: inv.Version, Gone: true}
		delete(w.inventory, u.GetName())
	} else {
		if was := w.inventory[u.GetName()]; was.UID == inv.UID && was.Version == inv.Version {
			return
		}
		w.inventory[u.GetName()] = inv
	}
	w.add(Record{Inventory: &inv})
}

func number(resourceVersion string) uint64 {
	n, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0 // an API server that has no numbers has no order to check
	}
	return n
}

func stateOf(u *unstructured.Unstructured) State {
	gvk := u.GroupVersionKind()
	s := State{
		Key: gvk.Group + "/" + gvk.Kind + "/" + u.GetNamespace() + "/" + u.GetName(),
		UID: string(u.GetUID()), Version: number(u.GetResourceVersion()),
		App: u.GetLabels()[labelApplication], Digest: u.GetAnnotations()[annotationObject],
		Deleting: u.GetDeletionTimestamp() != nil, Fields: read(u),
	}
	var ours, others []any
	for _, m := range u.GetManagedFields() {
		m.Time = nil
		if m.Manager == manager {
			ours = append(ours, m)
		} else {
			others = append(others, m)
		}
	}
	s.Ours, s.Others = hash(ours), hash(others)
	body := maps.Clone(u.Object)
	meta, _ := body["metadata"].(map[string]any)
	meta = maps.Clone(meta)
	for _, field := range []string{"resourceVersion", "generation", "managedFields"} {
		delete(meta, field)
	}
	body["metadata"] = meta
	s.Content = hash(body)
	return s
}

func hash(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // what was decoded from JSON encodes to it
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
