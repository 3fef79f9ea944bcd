// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"slices"

	"github.com/plumbline-dev/plumbline/events"
)

// Application is what the log tells of one application on one cluster, as far
// as it bears on its objects. Fill it with [Application.Add].
type Application struct {
	events.Address // cluster and application

	newest    events.Event // manifests.rendered or manifests.unchanged, of the newest revision
	observed  events.Event // commit.observed, the last
	withdrawn events.Event
	titles    map[string]string // commit → first line of its message
	applied   []applied
	last      map[string]events.Event // divergence → its last event
	resolved  []events.Event          // divergence.resolved
	objects   []events.DeclaredObject // of newest
}

// applied is one convergence.applied with its whole list.
type applied struct {
	event   events.Event
	objects []events.AppliedObject
}

// Add takes an event. Events come in the order of the log. Of a
// convergence.applied it takes the list that the event carries; where that is a
// blob, give it to [Application.AddApplied].
func (a *Application) Add(e events.Event) {
	switch p := e.Data.(type) {
	case *events.CommitObserved:
		if a.titles == nil {
			a.titles = map[string]string{}
		}
		a.titles[p.Revision.Commit] = p.Revision.Title
		a.observed = e
	case *events.ManifestsRendered:
		a.take(e, p.Objects.Items)
	case *events.ManifestsUnchanged:
		a.take(e, p.Objects.Items)
	case *events.ConvergenceApplied:
		a.AddApplied(e, p.Objects.Items)
	case *events.ApplicationWithdrawn:
		a.withdrawn = e
	case *events.DivergenceDetected, *events.DivergencePersisted, *events.DivergenceResolved:
		if a.last == nil {
			a.last = map[string]events.Event{}
		}
		a.last[e.Key] = e
		if _, over := p.(*events.DivergenceResolved); over {
			a.resolved = append(a.resolved, e)
		}
	}
}

// take keeps the bundle of the newest revision.
func (a *Application) take(e events.Event, objects []events.DeclaredObject) {
	switch {
	case a.newest.Data == nil, e.Epoch != a.newest.Epoch, e.Sequence > a.newest.Sequence,
		e.Sequence == a.newest.Sequence && e.Stored > a.newest.Stored:
		a.newest, a.objects = e, objects
	}
}

// AddApplied takes a convergence.applied whose list is a blob.
func (a *Application) AddApplied(e events.Event, objects []events.AppliedObject) {
	a.applied = append(a.applied, applied{e, objects})
}

// Manifests is the newest bundle, nil where there is none.
func (a *Application) Manifests() *events.Manifests {
	switch p := a.newest.Data.(type) {
	case *events.ManifestsRendered:
		return &p.Manifests
	case *events.ManifestsUnchanged:
		return &p.Manifests
	}
	return nil
}

// Newest is the event that brought it.
func (a *Application) Newest() events.Event { return a.newest }

// List gives the objects of the newest bundle where they are a blob.
func (a *Application) List(objects []events.DeclaredObject) { a.objects = objects }

// Objects are those of the newest bundle, their namespace filled in with what
// they default to. A cluster-scoped custom resource gets one too: only the
// cluster knows the scopes of those.
func (a *Application) Objects() []events.DeclaredObject {
	m := a.Manifests()
	if m == nil || a.Withdrawn() {
		return nil
	}
	out := slices.Clone(a.objects)
	for i := range out {
		if out[i].Namespace == "" && !clusterScoped[KindOf(out[i].Object)] {
			out[i].Namespace = m.Declaration.Namespace
		}
	}
	return out
}

// Withdrawn reports whether the application is no longer declared.
func (a *Application) Withdrawn() bool { return a.withdrawn.Stored > a.observed.Stored }

// Owned are the objects that the applier holds for the application, as far as
// the log tells, by key.
func (a *Application) Owned() map[string]events.Object {
	owned := map[string]events.Object{}
	for _, w := range a.applied {
		for _, o := range w.objects {
			switch o.Action {
			case events.ActionPruned, events.ActionOrphaned, events.ActionPassed:
				delete(owned, o.Key())
			default:
				owned[o.Key()] = o.Object
			}
		}
	}
	return owned
}

// Learnt is the hash of our managedFields entry that the applier learnt when it
// wrote an object in this digest; empty where the log tells of none.
func (a *Application) Learnt(key, digest string) string {
	for _, w := range slices.Backward(a.applied) {
		for _, o := range w.objects {
			if o.Key() == key && o.Digest == digest && o.Fields != "" {
				return o.Fields
			}
		}
	}
	return ""
}
