// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/compare"
)

// maxLooks bounds how often one object is looked at in a row, and how often all are
// judged against a log that has something new each time: both may change
// meanwhile.
const maxLooks = 4

// errMoving says that an object changed under every look at it.
var errMoving = errors.New("the object changes faster than it can be read")

// examine judges one object, fetching its body where its metadata leaves a
// doubt.
func (a *Auditor) examine(ctx context.Context, app *application, key string, w work, now time.Time) (Verdict, error) {
	target, ok := app.targets[key]
	if !ok && app.manifests == nil {
		return Verdict{State: Undeclared, How: Withdrawn}, nil
	}
	if !ok {
		return Verdict{State: Undeclared}, nil
	}
	var body *unstructured.Unstructured
	if l, ok := w.listed[key]; ok {
		if !outdated(l.meta, a.cache.live(key), app.wrote[key]) {
			body = l.body
		}
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
			if body, err = a.cluster.get(ctx, target.Object, w.begun); apierrors.IsForbidden(err) {
				app.withheld[key] = true
				return Verdict{State: Wait}, nil
			} else if err != nil {
				return Verdict{}, err
			}
			if body == nil {
				a.cache.left(key, "", "", true)
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

// outdated reports whether a list, which may have waited, shows an object as it
// was before what is known of it, or before the applier's last write. It may be
// of a cluster that was put back, too: a look decides.
func outdated(m Meta, known Live, wrote string) bool {
	return wrote != "" && older(m.ResourceVersion, wrote) ||
		known.Exists && known.UID == m.UID && older(m.ResourceVersion, known.ResourceVersion)
}

// ahead reports whether an object would be looked at that carries a digest of
// ours which is not the newest that is known. Most often the cluster tells of a
// write before the log of the revision that it is of: the log is asked then, and
// the API server for what leaves a doubt all the same.
func (a *Auditor) ahead(app *application, key string, now time.Time) bool {
	target, ok := app.targets[key]
	if !ok {
		return false
	}
	l := a.live(target.Object)
	if !l.Exists || !l.Annotated || l.Application != app.name || l.Digest == target.Digest {
		return false
	}
	return assess(app.desired(key, target.Object, app.view.progress(), now), l).State == Look
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
		desired = compare.Stamped(desired, app.name, digest)
	}
	result := Comparison{Digest: digest, For: app.name, Result: compare.Bodies(desired, body.Object, compare.Comparing{
		Owners: compare.OwnersOf(body.GetManagedFields()),
		Intact: !observe && live.Ours.sameFields(app.learnt[key][digest]),
		Secret: a.digestKey,
	})}
	a.cache.compared(key, metaOf(body), result)
	return true, nil
}

// live is what is known of an object.
func (a *Auditor) live(o events.Object) Live {
	l := a.cache.live(o.Key())
	switch a.readers.reading(schema.GroupKind{Group: o.Group, Kind: o.Kind}, o.Namespace) {
	case Listed, Unserved:
		l.Listed = true
	default:
		l.Listed = l.Exists
	}
	return l
}
