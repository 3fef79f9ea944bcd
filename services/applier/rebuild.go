// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// rebuild makes an inventory from labels for an application that has none
// although objects carry its label: it was lost. Of those objects only that
// they are ours is known: all are written again, and nothing is pruned before
// one clean full compare. For an application that is new it costs nothing.
func (a *applier) rebuild(ctx context.Context, inv Inventory, desired Desired) (Inventory, error) {
	lost := slices.ContainsFunc(desired.Objects, func(t Target) bool {
		s, ok := a.observer.get(t.Object)
		return ok && s.Application == desired.Application
	})
	if !lost {
		return inv, nil
	}
	a.log.WarnContext(ctx, "the inventory is lost: rebuilding it from labels", "application", desired.Application)
	_, lists, err := a.discovery.ServerGroupsAndResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return inv, fmt.Errorf("read which kinds the cluster serves: %w", err)
	}
	declared := namespacesOf(desired)
	inv.Entries = map[string]Entry{}
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "patch", "delete"}}, lists) {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue // of a broken aggregated API
		}
		for _, r := range list.APIResources {
			if err := a.rebuildKind(ctx, inv, gv, r, declared); err != nil {
				return inv, err
			}
		}
	}
	objs := make([]events.Object, 0, len(inv.Entries))
	for _, e := range inv.Entries {
		objs = append(objs, e.Object)
	}
	return inv, a.watchAll(ctx, objs)
}

// namespacesOf are the namespaces of what is declared.
func namespacesOf(desired Desired) []string {
	var list []string
	for _, t := range desired.Objects {
		if t.Namespace != "" {
			list = append(list, t.Namespace)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// derivedKinds are made by controllers, which copy the labels of what they are
// made of.
var derivedKinds = map[string]bool{
	"/Endpoints": true, "discovery.k8s.io/EndpointSlice": true, "apps/ControllerRevision": true, "/Event": true, "events.k8s.io/Event": true,
}

func (a *applier) rebuildKind(ctx context.Context, inv Inventory, gv schema.GroupVersion, r metav1.APIResource, declared []string) error {
	if derivedKinds[gv.Group+"/"+r.Kind] {
		return nil
	}
	for _, namespace := range a.reach().lists(gv.Group, r.Kind, declared) {
		if namespace != "" && !r.Namespaced {
			return nil
		}
		if err := a.rebuildIn(ctx, inv, gv, r, namespace); err != nil {
			return err
		}
	}
	return nil
}

// rebuildIn adds what there is of a kind in one namespace, or in all of them.
func (a *applier) rebuildIn(ctx context.Context, inv Inventory, gv schema.GroupVersion, r metav1.APIResource, namespace string) error {
	client := a.metadata.Resource(gv.WithResource(r.Name)).Namespace(namespace)
	list, err := client.List(ctx, metav1.ListOptions{LabelSelector: manifest.LabelApplication + "=" + inv.Application})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsMethodNotSupported(err) {
		return nil
	}
	if err != nil {
		// One kind that can't be listed, its conversion webhook down, is no API
		// server that is out.
		return fmt.Errorf("list %s: %w", r.Name, explain(events.Object{Group: gv.Group, Version: gv.Version, Kind: r.Kind, Name: "*"}, err))
	}
	for i := range list.Items {
		m := &list.Items[i]
		o := events.Object{Group: gv.Group, Version: gv.Version, Kind: r.Kind, Namespace: m.Namespace, Name: m.Name}
		s := sight(o, m)
		if s.Fields == "" || len(m.OwnerReferences) > 0 {
			continue // it carries our label and was not applied by us
		}
		inv.Entries[o.Key()] = Entry{Object: o, UID: s.UID}
	}
	return nil
}
