// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/compare"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// listInstead is how many unknown objects of one kind and namespace are looked
// up by one LIST instead of a GET each.
const listInstead = 3

// desire resolves a bundle to targets, and refuses what must not be written.
// Its error is that of reading what the cluster serves.
func (a *applier) desire(ctx context.Context, name string, at events.Order, m *events.Manifests, bundle manifest.Bundle) (Desired, []Refusal, error) {
	d := Desired{Application: name, Order: at, Digest: m.Digest, Declaration: m.DeclarationDigest, Complete: true}
	defined := definedKinds(bundle)
	seen := map[string]bool{}
	var refused []Refusal
	for _, o := range bundle.Objects {
		t := Target{Object: o.Object, Digest: o.Digest, File: o.File, Line: o.Line, Body: o.Body}
		refuse := func(reason events.Reason, message string) {
			refused = append(refused, Refusal{Target: t, Reason: reason, Message: message})
		}
		namespaced, ok, err := a.namespaced(ctx, o.Object, defined)
		if errors.Is(err, errNotKept) {
			refuse(events.ReasonNotPermitted, fmt.Sprintf("%s (%s) can't be declared: the API server answers objects of its kind and keeps none. Remove it", o.Kind, o.Name))
			continue
		}
		if err != nil {
			return d, nil, err
		}
		if !ok {
			refuse(events.ReasonUnknownKind, unserved(o.Object))
			continue
		}
		if t.Object, err = place(o.Object, namespaced, m.Declaration.Namespace); err != nil {
			refuse(events.ReasonNotPermitted, err.Error())
			continue
		}
		switch {
		case !a.reach().holds(t.Object):
			refuse(events.ReasonForbidden, a.reach().deny(t.Object))
			continue
		case t.Namespace == systemNamespace || t.Kind == "Namespace" && t.Group == "" && t.Name == systemNamespace:
			refuse(events.ReasonNotPermitted, fmt.Sprintf("%s: the namespace %s is Plumbline's own; put it into another", t.Object, systemNamespace))
			continue
		case seen[t.Key()]:
			refuse(events.ReasonDuplicateObject, fmt.Sprintf("%s is declared twice, once with and once without its namespace", t.Object))
			continue
		}
		seen[t.Key()] = true
		t.Ignored = ignored(t.Object, t.Body, m.Declaration.Audit.Ignore)
		d.Objects = append(d.Objects, t)
	}
	return d, refused, nil
}

// definedKinds are the kinds that CRDs in a bundle define, and whether they
// are namespaced.
func definedKinds(bundle manifest.Bundle) map[string]bool {
	kinds := map[string]bool{}
	for _, o := range bundle.Objects {
		if groupKind(o.Object) != "apiextensions.k8s.io/CustomResourceDefinition" {
			continue
		}
		group, _ := compare.At(o.Body, []string{"spec", "group"})
		kind, _ := compare.At(o.Body, []string{"spec", "names", "kind"})
		scope, _ := compare.At(o.Body, []string{"spec", "scope"})
		kinds[fmt.Sprint(group)+"/"+fmt.Sprint(kind)] = scope == "Namespaced"
	}
	return kinds
}

func (a *applier) namespaced(ctx context.Context, o events.Object, defined map[string]bool) (namespaced, known bool, err error) {
	r, err := a.scopes.resource(ctx, o)
	if err == nil {
		return r.Namespaced, true, nil
	}
	if !errors.Is(err, errUnknownKind) {
		return false, false, err
	}
	namespaced, known = defined[groupKind(o)]
	return namespaced, known, nil
}

// watchAll makes sure that the kinds of objects are watched, as far as the
// cluster serves them. What discovery said of a kind may be out of date, its
// CRD gone: then it is read anew, once.
func (a *applier) watchAll(ctx context.Context, objs []events.Object) error {
	err := a.watchServed(ctx, objs)
	if errors.Is(err, errUnknownKind) {
		a.scopes.forget()
		err = a.watchServed(ctx, objs)
	}
	return err
}

// watchServed watches the kinds that discovery says are served. Its error is
// errUnknownKind where one of them is not.
func (a *applier) watchServed(ctx context.Context, objs []events.Object) error {
	kinds := map[watchScope]events.Object{}
	for _, o := range objs {
		if a.reach().holds(o) { // what else an inventory holds is looked up
			kinds[a.observer.scope(o)] = o
		}
	}
	var wait []*kindWatch
	for kind, o := range kinds {
		if w := a.observer.watched(o); w != nil {
			wait = append(wait, w)
			continue
		}
		r, err := a.scopes.anyVersion(ctx, o)
		if errors.Is(err, errUnknownKind) {
			continue
		}
		if err != nil {
			return err
		}
		wait = append(wait, a.observer.start(kind, r))
	}
	for _, w := range wait {
		if err := w.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// see returns what exists of a bundle and an inventory, by object key. Objects
// that are ours come from the watches and cost nothing; what may exist without
// our label is looked up.
func (a *applier) see(ctx context.Context, d Desired, inv Inventory) (map[string]Live, error) {
	live := make(map[string]Live, len(d.Objects))
	unknown := map[events.Object][]events.Object{} // by kind and namespace
	ask := func(o events.Object) {
		group := events.Object{Group: o.Group, Version: o.Version, Kind: o.Kind, Namespace: o.Namespace}
		unknown[group] = append(unknown[group], o)
	}
	declared := make(map[string]bool, len(d.Objects))
	for _, t := range d.Objects {
		declared[t.Key()] = true
		if s, ok := a.observer.get(t.Object); ok {
			live[t.Key()] = a.live(d.Application, s)
		} else {
			ask(t.Object) // without our label it may exist all the same, and is written with preconditions then
		}
	}
	for key, e := range inv.Entries {
		if s, ok := a.observer.get(e.Object); ok {
			live[key] = a.live(d.Application, s)
		} else if !declared[key] {
			ask(e.Object) // before it is said to be gone
		}
	}
	found, err := a.lookUpGroups(ctx, d.Application, unknown)
	maps.Copy(live, found)
	return live, err
}

// lookUpGroups looks up objects of several kinds and namespaces, of each at
// once.
func (a *applier) lookUpGroups(ctx context.Context, self string, groups map[events.Object][]events.Object) (map[string]Live, error) {
	var mu sync.Mutex
	all := map[string]Live{}
	lookups, ctx := errgroup.WithContext(ctx)
	lookups.SetLimit(pool)
	for group, objs := range groups {
		lookups.Go(bus.Guard(func() error {
			live := map[string]Live{}
			err := a.lookUpAll(ctx, self, group, objs, live)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(all, live)
			return err
		}))
	}
	return all, lookups.Wait()
}

// live is what a decision sees of a sighting.
func (a *applier) live(self string, s sighting) Live {
	l := s.Live
	l.Owner = a.owner(self, s)
	return l
}

// owner is the application that an object belongs to: the one that its label
// names, unless its inventory no longer holds it, or it is no longer declared:
// what a withdrawn application leaves passes on to the one that declares it.
func (a *applier) owner(self string, s sighting) string {
	if s.Application == "" || s.Application == self {
		return s.Application
	}
	a.mu.Lock()
	withdrawn := a.fleet != nil && !a.fleet.has(s.Application)
	a.mu.Unlock()
	holds, known := a.inventories.holds(s.Application, s.Key(), self)
	if withdrawn || known && !holds {
		return ""
	}
	return s.Application
}

// lookUpAll finds which of objs, all of one kind and namespace, exist.
func (a *applier) lookUpAll(ctx context.Context, self string, group events.Object, objs []events.Object, live map[string]Live) error {
	if len(objs) < listInstead {
		for _, o := range objs {
			s, exists, err := a.look(ctx, o)
			if err != nil {
				return err
			}
			if exists {
				live[o.Key()] = a.live(self, s)
			}
		}
		return nil
	}
	client, err := a.metadataOf(ctx, group)
	if errors.Is(err, errUnknownKind) {
		return nil
	}
	if err != nil {
		return err
	}
	wanted := make(map[string]events.Object, len(objs))
	for _, o := range objs {
		wanted[o.Name] = o
	}
	for options := (metav1.ListOptions{Limit: 500}); ; {
		list, err := client.List(ctx, options)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", group.Kind, explain(events.Object{Kind: group.Kind, Group: group.Group, Namespace: group.Namespace, Name: "*"}, err))
		}
		for i := range list.Items {
			if o, ok := wanted[list.Items[i].Name]; ok {
				live[o.Key()] = a.live(self, sight(o, &list.Items[i]))
			}
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return nil
		}
	}
}

// look reads the metadata of one object.
func (a *applier) look(ctx context.Context, o events.Object) (sighting, bool, error) {
	client, err := a.metadataOf(ctx, o)
	if errors.Is(err, errUnknownKind) {
		return sighting{}, false, nil
	}
	if err != nil {
		return sighting{}, false, err
	}
	m, err := client.Get(ctx, o.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		a.forget(o)
		return sighting{}, false, nil
	}
	if err != nil {
		return sighting{}, false, fmt.Errorf("look up %s: %w", o, explain(o, err))
	}
	return sight(o, m), true, nil
}

func (a *applier) metadataOf(ctx context.Context, o events.Object) (metadata.ResourceInterface, error) {
	r, err := a.scopes.anyVersion(ctx, o)
	if err != nil {
		return nil, err
	}
	client := a.metadata.Resource(r.GroupVersionResource)
	if o.Namespace != "" {
		return client.Namespace(o.Namespace), nil
	}
	return client, nil
}
