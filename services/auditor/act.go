// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// work is what a pass over one application is to look at.
type work struct {
	load   bool // read the application's view from the log first
	all    bool // every object
	keys   map[string]bool
	listed map[string]listed // that a list has brought, by object key
	done   func()            // called when it was looked at, whatever came of it
}

// listed is an object as a list has it.
type listed struct {
	meta Meta
	body *unstructured.Unstructured // nil where only metadata was listed
}

func (w *work) empty() bool { return !w.load && !w.all && len(w.keys) == 0 && w.done == nil }

// add joins other to w.
func (w *work) add(other work) {
	w.load, w.all = w.load || other.load, w.all || other.all
	if w.keys == nil {
		w.keys, w.listed = map[string]bool{}, map[string]listed{}
	}
	maps.Copy(w.keys, other.keys)
	maps.Copy(w.listed, other.listed)
	switch first := w.done; {
	case first == nil:
		w.done = other.done
	case other.done != nil:
		w.done = func() { first(); other.done() }
	}
}

func (w *work) finish() {
	if w.done != nil {
		w.done()
	}
}

// pass judges what w names and returns the transitions that follow. It runs in
// the application's serial queue.
func (a *Auditor) pass(ctx context.Context, app *application, w work, now time.Time) ([]events.Draft, error) {
	if w.load || app.view.last == nil {
		if err := a.load(ctx, app); err != nil {
			return nil, err
		}
		w.all = true
	} else if err := a.derive(ctx, app); err != nil {
		return nil, err
	}
	if err := app.ledger.refresh(ctx, a.conn); err != nil {
		return nil, err
	}
	if err := app.said.load(ctx, a.conn, app.ledger.at); err != nil {
		return nil, err
	}
	if a.fleet.withdrawn(app.name) {
		return a.withdraw(app, now), nil
	}
	if w.all {
		app.wake = time.Time{}
	}
	drafts, failed, err := a.judge(ctx, app, w, now)
	if a.fleet.withdrawn(app.name) {
		return drafts, err // it went meanwhile
	}
	drafts = append(drafts, a.settled(app, now)...)
	drafts = append(drafts, a.limited(app, now)...)
	a.wakeAt(app)
	if err != nil && len(drafts) > 0 {
		a.again(app.name, failed, err)
		err = nil
	}
	return drafts, err
}

// judge examines objects and returns the transitions of their divergences, and
// which objects could not be examined.
func (a *Auditor) judge(ctx context.Context, app *application, w work, now time.Time) (drafts []events.Draft, failed map[string]bool, err error) {
	failed = map[string]bool{}
	fresh := false
	for _, key := range a.order(app, w) {
		v, problem := a.examine(ctx, app, key, w, now)
		if problem == nil && a.opens(app, key, v) && !fresh {
			// Whoever wrote may have read a newer revision, or fleet, than we
			// have: nothing is reported before we know the newest too.
			if problem = a.loadAll(ctx, app); problem == nil {
				fresh = true
				if a.fleet.withdrawn(app.name) {
					return a.withdraw(app, now), nil, nil
				}
				v, problem = a.examine(ctx, app, key, w, now)
			}
		}
		if problem != nil {
			failed[key], err = true, problem
			continue
		}
		app.inStep[key] = v.State == Same && v.Digest == app.targets[key].Digest
		drafts = append(drafts, a.transition(app, key, v, now)...)
	}
	return drafts, failed, err
}

// order is what a pass examines: the objects that are declared, and those that
// were when a divergence of them was opened.
func (a *Auditor) order(app *application, w work) []string {
	var keys []string
	for key := range app.targets {
		if w.all || w.keys[key] {
			keys = append(keys, key)
		}
	}
	if app.manifests != nil {
		for _, known := range app.ledger.known {
			o := known.Divergence.Object
			if known.Phase == Closed || o == nil {
				continue
			}
			if _, ok := app.targets[o.Key()]; !ok {
				keys = append(keys, o.Key())
			}
		}
	}
	slices.Sort(keys)
	return keys
}

func (a *Auditor) opens(app *application, key string, v Verdict) bool {
	return v.State == Differs && app.ledger.known[Key(a.cfg.Cluster, app.name, key)].Phase == Closed
}

// loadAll reads everything that the log tells of the application.
func (a *Auditor) loadAll(ctx context.Context, app *application) error {
	if err := a.fleet.load(ctx, a.conn); err != nil {
		return err
	}
	if err := a.load(ctx, app); err != nil {
		return err
	}
	if err := app.said.load(ctx, a.conn, app.ledger.at); err != nil {
		return err
	}
	return app.ledger.refresh(ctx, a.conn)
}

// transition publishes the next step of the divergence of one object.
func (a *Auditor) transition(app *application, object string, v Verdict, now time.Time) []events.Draft {
	key := Key(a.cfg.Cluster, app.name, object)
	known := app.ledger.known[key]
	t := advance(known, v, app.alertAfter(), now)
	app.wakeBy(t.Wake)
	if t.Step == Keep {
		return nil
	}
	fresh := known.Divergence
	if v.State == Differs {
		fresh = app.divergence(key, app.targets[object], v, now)
	}
	return a.step(app, key, known, fresh, t, now)
}

// step drafts one transition. It leaves the divergence to be read again, and
// wakes the application for what may come next.
func (a *Auditor) step(app *application, key string, known Known, fresh events.Divergence, t Transition, now time.Time) []events.Draft {
	var data events.Payload
	since := known.Divergence.Since
	switch t.Step {
	case Detect:
		known.Correlation = fmt.Sprintf("divergence/%s/%d", key, now.UnixNano())
		known.Trace = app.of.Traceparent
		data = &events.DivergenceDetected{Divergence: fresh}
	case Persist:
		fresh.Since = since
		data = &events.DivergencePersisted{Divergence: fresh, After: events.Duration(now.Sub(since))}
	case Resolve:
		data = &events.DivergenceResolved{
			Divergence: known.Divergence, After: events.Duration(max(0, now.Sub(since))), How: t.How, Persisted: known.Phase == Persisted,
		}
	}
	d := app.ledger.draft(key, known, data)
	d.Revision = events.Order{Epoch: app.of.Epoch, Sequence: app.of.Sequence}
	return []events.Draft{d}
}

// settled judges the application's newest revision.
func (a *Auditor) settled(app *application, now time.Time) []events.Draft {
	p := app.view.progress()
	p.InPlace = app.standing()
	if p.InPlace && app.manifests != nil {
		app.inPlace = app.manifests.Digest
	}
	v, stage, wake := stalled(p, now)
	app.wakeBy(wake)
	key := Key(a.cfg.Cluster, app.name, "")
	known := app.ledger.known[key]
	t := advance(known, v, app.alertAfter(), now)
	app.wakeBy(t.Wake)
	if t.Step == Keep {
		return nil
	}
	fresh := known.Divergence
	if v.State == Differs {
		fresh = app.stall(key, stage, p, now)
	}
	return a.step(app, key, known, fresh, t, now)
}

// standing reports whether live has every object of the newest bundle.
func (app *application) standing() bool {
	if app.manifests == nil || len(app.targets) == 0 {
		return false
	}
	for key := range app.targets {
		if !app.inStep[key] {
			return false
		}
	}
	return true
}

// withdraw resolves what is open of an application that is no longer declared.
func (a *Auditor) withdraw(app *application, now time.Time) []events.Draft {
	a.cache.claim(app.name, app.targets, nil)
	a.readers.need(app.name, nil)
	app.manifests, app.targets, app.inStep, app.inPlace = nil, nil, map[string]bool{}, ""
	app.wake = time.Time{}
	a.wakeAt(app)
	drafts := a.limited(app, now)
	for key, known := range app.ledger.known {
		if known.Phase != Closed {
			drafts = append(drafts, a.step(app, key, known, known.Divergence, Transition{Step: Resolve, How: Withdrawn}, now)...)
		}
	}
	return drafts
}

func (app *application) alertAfter() time.Duration {
	if d := app.view.declaration(); d != nil {
		return d.Audit.AlertAfter.Std()
	}
	return 0
}

func (app *application) wakeBy(t time.Time) {
	if !t.IsZero() && (app.wake.IsZero() || t.Before(app.wake)) {
		app.wake = t
	}
}

// maxLooks bounds how often one object is looked at in one pass: it may change
// while it is looked at.
const maxLooks = 4

// errMoving says that an object changed under every look at it.
var errMoving = errors.New("the object changes faster than it can be read")

// examine judges one object, fetching its body where its metadata leaves a
// doubt.
func (a *Auditor) examine(ctx context.Context, app *application, key string, w work, now time.Time) (Verdict, error) {
	target, ok := app.targets[key]
	if !ok {
		return Verdict{State: Undeclared}, nil
	}
	var body *unstructured.Unstructured
	if l, ok := w.listed[key]; ok {
		body = l.body
		a.cache.listed(key, l.meta)
		delete(w.listed, key)
	}
	for range maxLooks {
		live := a.live(target.Object)
		v := assess(app.desired(key, target.Object, app.view.progress(), now), live)
		if v.State != Look {
			return v, nil
		}
		if app.withheld[key] {
			return Verdict{State: Wait}, nil
		}
		if !usable(body, live, target.Object) {
			var err error
			if body, err = a.cluster.get(ctx, target.Object); apierrors.IsForbidden(err) {
				app.withheld[key] = true
				return Verdict{State: Wait}, nil
			} else if err != nil {
				return Verdict{}, err
			}
			if body == nil {
				a.cache.left(key, "", true)
				continue
			}
			live = a.cache.looked(key, metaOf(body))
			live.Listed = true
			if v = assess(app.desired(key, target.Object, app.view.progress(), now), live); v.State != Look {
				return v, nil
			}
		}
		known, err := a.compareBody(ctx, app, key, target.Object, v.Digest, live, body)
		if err != nil || !known {
			return Verdict{State: Wait}, err
		}
	}
	return Verdict{}, fmt.Errorf("%s: %w", target.Object, errMoving)
}

// usable reports whether a body at hand is the object as it is now, in the
// version that Git declares.
func usable(body *unstructured.Unstructured, live Live, o events.Object) bool {
	return body != nil && live.Exists && body.GetResourceVersion() == live.ResourceVersion && string(body.GetUID()) == live.UID &&
		body.GroupVersionKind() == schema.GroupVersionKind{Group: o.Group, Version: o.Version, Kind: o.Kind}
}

// compareBody compares a live body with the one that a digest stands for. It
// reports false where that one is not known any more.
func (a *Auditor) compareBody(ctx context.Context, app *application, key string, o events.Object, digest string, live Live, body *unstructured.Unstructured) (bool, error) {
	desired, err := a.body(ctx, app, digest)
	if err != nil || desired == nil {
		return false, err
	}
	observe := app.manifests.Declaration.Converge.Mode == events.ModeObserve
	if !observe {
		desired = stamped(desired, app.name, digest)
	}
	result := compare(desired, body.Object, Comparing{
		Owners: ownersOf(body.GetManagedFields()),
		Intact: !observe && live.Ours.sameFields(app.learnt[key][digest]),
		Secret: a.digestKey,
	})
	result.Digest = digest
	a.cache.compared(key, metaOf(body), result)
	return true, nil
}

// stamped is a declared body with what the applier adds to it.
func stamped(body map[string]any, application, digest string) map[string]any {
	u := &unstructured.Unstructured{Object: body}
	u = u.DeepCopy()
	labels, annotations := u.GetLabels(), u.GetAnnotations()
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	labels[manifest.LabelApplication], annotations[manifest.AnnotationObject] = application, digest
	u.SetLabels(labels)
	u.SetAnnotations(annotations)
	return u.Object
}

// live is what is known of an object.
func (a *Auditor) live(o events.Object) Live {
	l := a.cache.live(o.Key())
	switch a.readers.reading(schema.GroupKind{Group: o.Group, Kind: o.Kind}, o.Namespace) {
	case Listed:
		l.Listed = true
	case Unserved:
		l = Live{Listed: true, Gone: true, Seen: l.Seen}
	default:
		l.Listed = l.Exists
	}
	return l
}
