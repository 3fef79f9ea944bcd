// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// application is what is known of one application. It belongs to the
// application's serial queue: nothing else touches it.
type application struct {
	name   string
	view   view
	tenure bus.Tenure // in which the view was read and holds; zero: none
	ledger ledger

	manifests *events.Manifests // Git's newest bundle
	of        events.Event      // the event that brought it
	targets   map[string]declared
	before    map[string]string            // object key → digest that was last applied
	learnt    map[string]map[string]string // object key → digest → hash of our entry
	wrote     map[string]string            // object key → resourceVersion of the last write
	bundles   map[string]events.Blob       // bundle digest → bundle, of the newest and the one before
	applied   appliedFrom                  // the event that before and learnt are from
	withdrawn events.Order                 // the withdrawal that all this is from after

	inStep   map[string]bool // object key → live was last seen to have what Git declares
	inPlace  string          // digest of the newest bundle, once live was seen to have it as a whole
	rendered string          // id of the manifests.rendered that inStep and inPlace are of
	wake     time.Time       // when to look again although nothing happens; zero: no need to
	withheld map[string]bool // objects that may not be read
	said     said            // what the log has of the audit's limits
}

type appliedFrom struct {
	epoch  string
	stored uint64
	digest string
}

// declared is one object of the newest bundle, its scope resolved.
type declared struct {
	events.DeclaredObject
}

func newApplication(cluster, name string) *application {
	return &application{
		name:   name,
		ledger: ledger{at: events.Address{Cluster: cluster, Application: name}},
		before: map[string]string{}, learnt: map[string]map[string]string{}, wrote: map[string]string{},
		bundles: map[string]events.Blob{}, inStep: map[string]bool{}, withheld: map[string]bool{},
	}
}

// load reads the application's view from the log and what follows from it.
func (a *Auditor) load(ctx context.Context, app *application) error {
	was := app.view.epoch
	if err := app.view.load(ctx, a.conn, app.ledger.at); err != nil {
		return err
	}
	if was != app.view.epoch {
		app.ledger.forget() // another life of the log: what was open there is not open here
		app.said.loaded = false
	}
	clear(app.withheld)
	return a.derive(ctx, app)
}

// derive brings what follows from the view up to date: the targets and what
// the applier learnt.
func (a *Auditor) derive(ctx context.Context, app *application) error {
	a.deriveWithdrawn(app)
	if err := a.deriveApplied(ctx, app); err != nil {
		return err
	}
	news := a.readers.changed(app.name)
	if news {
		clear(app.withheld)
	}
	manifests, of := app.view.manifests()
	if manifests == nil {
		return nil
	}
	fresh := app.manifests == nil || app.manifests.Digest != manifests.Digest || app.of.ID != of.ID || news
	if !fresh {
		return nil
	}
	list, err := items(ctx, a.conn, manifests.Objects.Count, manifests.Objects.Items, manifests.Objects.Blob)
	if err != nil {
		return fmt.Errorf("objects of %s: %w", app.name, err)
	}
	targets := make(map[string]declared, len(list))
	wants := map[want]bool{}
	for _, o := range list {
		resolved, err := a.resolve(ctx, o.Object, manifests.Declaration.Namespace)
		if err != nil {
			return err
		}
		o.Object = resolved
		targets[resolved.Key()] = declared{o}
		wants[want{schema.GroupKind{Group: o.Group, Kind: o.Kind}, o.Version, o.Namespace, manifests.Declaration.Converge.Mode == events.ModeObserve}] = true
	}
	a.cache.claim(app.name, app.targets, targets)
	if rendered, _ := app.view.at("manifests.rendered"); app.manifests == nil || app.manifests.Digest != manifests.Digest || app.rendered != rendered.ID {
		// A bundle that comes back does so after another one, which may be on
		// its way into the cluster: what was seen before says nothing.
		clear(app.inStep)
		app.inPlace, app.rendered = "", rendered.ID
	}
	app.keepBundle(manifests)
	app.manifests, app.of, app.targets = manifests, of, targets
	a.readers.need(app.name, wants)
	return nil
}

// keepBundle remembers where the newest bundle is and the one that was applied
// last.
func (app *application) keepBundle(m *events.Manifests) {
	app.bundles[m.Digest] = m.Bundle
	for digest := range app.bundles {
		if digest != m.Digest && digest != app.applied.digest {
			delete(app.bundles, digest)
		}
	}
}

// deriveApplied takes what the last convergence.applied tells. One after a heal
// may tell of a few objects only, so it adds to what is known.
func (a *Auditor) deriveApplied(ctx context.Context, app *application) error {
	e, ok := app.view.at("convergence.applied")
	if !ok || app.applied.epoch == e.Epoch && app.applied.stored >= e.Stored {
		return nil
	}
	data := app.view.applied()
	list, err := items(ctx, a.conn, data.Objects.Count, data.Objects.Items, data.Objects.Blob)
	if err != nil && !errors.Is(err, blob.ErrMissing) { // nothing was learnt then: bodies are compared instead
		return fmt.Errorf("applied objects of %s: %w", app.name, err)
	}
	for _, o := range list {
		key := o.Key()
		switch o.Action {
		case events.ActionPruned, events.ActionOrphaned, events.ActionPassed:
			delete(app.before, key)
			delete(app.learnt, key)
			delete(app.wrote, key)
		case events.ActionHeld:
		default:
			last := app.before[key]
			app.before[key] = o.Digest
			kept := map[string]string{o.Digest: o.Fields}
			if hash := app.learnt[key][last]; last != o.Digest && hash != "" {
				kept[last] = hash
			}
			app.learnt[key] = kept
			if o.ResourceVersion != "" {
				app.wrote[key] = o.ResourceVersion
				a.cache.written(key, o.ResourceVersion)
			}
		}
	}
	app.applied = appliedFrom{e.Epoch, e.Stored, data.Digest}
	return nil
}

// resolve finds out whether a kind is namespaced and fills in the namespace
// that objects default to. A kind that is not served yet is taken for
// namespaced.
func (a *Auditor) resolve(ctx context.Context, o events.Object, namespace string) (events.Object, error) {
	_, namespaced, err := a.cluster.resource(ctx, schema.GroupKind{Group: o.Group, Kind: o.Kind}, o.Version)
	switch {
	case errors.Is(err, errUnserved):
	case err != nil:
		return o, err
	case !namespaced:
		o.Namespace = ""
		return o, nil
	}
	if o.Namespace == "" {
		o.Namespace = namespace
	}
	return o, nil
}

// desired is what Git and the log say of one object now.
func (app *application) desired(key string, o events.Object, p Progress, now time.Time) Desired {
	d := Desired{Object: o, Application: app.name, Before: app.before[key], Learnt: app.learnt[key], Wrote: app.wrote[key]}
	if app.manifests == nil {
		return d
	}
	d.Target = app.targets[key].Digest
	d.Observe = p.Observe
	d.Rules = app.manifests.Declaration.Audit.Ignore
	d.Settled, d.InPlace = p.settled(), app.inPlace == app.manifests.Digest
	if !d.Settled {
		v, _, _ := stalled(p, now)
		d.Overdue = v.State == Differs
	}
	return d
}
