// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/failpoint"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

func (r *run) client(res resource, o events.Object) dynamic.ResourceInterface {
	client := r.dynamic.Resource(res.GroupVersionResource)
	if o.Namespace != "" {
		return client.Namespace(o.Namespace)
	}
	return client
}

// write applies one object. An object that has changed since it was seen is
// looked at again and decided again.
func (r *run) write(ctx context.Context, s Step) (Result, error) {
	if !s.Op.Writes() {
		return Result{Action: events.ActionUnchanged}, nil
	}
	pause := firstPause
	for attempt := 1; ; attempt++ {
		if err := r.confirm(ctx, false); err != nil {
			return Result{}, err
		}
		result, err := r.patch(ctx, s)
		if err == nil {
			return result, failpoint.Hit(failpoint.ApplierAfterObject)
		}
		if ctx.Err() != nil {
			return Result{}, ctx.Err()
		}
		if apierrors.IsConflict(err) || s.UID != "" && apierrors.IsNotFound(err) {
			if err := r.confirm(ctx, true); err != nil {
				return Result{}, err
			}
			var again error
			if s, again = r.lookAgain(ctx, s); again != nil {
				err = again
			} else if attempt < attempts {
				continue
			}
		}
		if unanswered(err) && !isTrouble(err) {
			return r.unansweredWrite(ctx, s, err)
		}
		explained := explain(s.Object, err)
		t := new(trouble)
		if !errors.As(explained, &t) || !t.Again || attempt >= attempts {
			return Result{Err: explained}, nil
		}
		if err := sleep(ctx, pause); err != nil {
			return Result{}, err
		}
		pause *= 2
	}
}

// unansweredWrite tells an API server that is out from one that only this
// object doesn't get through to in time, behind a webhook that hangs: the
// others are not to wait for it.
func (r *run) unansweredWrite(ctx context.Context, s Step, err error) (Result, error) {
	if !errors.Is(err, context.DeadlineExceeded) || r.ready(ctx) != nil {
		return Result{}, err
	}
	return Result{Err: &trouble{Reason: events.ReasonRefused, Again: true, Passing: true, Err: err, Message: fmt.Sprintf(
		"the API server didn't answer within %s for %s: an admission webhook may hang; it is tried again", r.timeout, s.Object)}}, nil
}

func isTrouble(err error) bool {
	t := new(trouble)
	return errors.As(err, &t) || errors.Is(err, errUnknownKind)
}

// patch sends one server-side apply.
func (r *run) patch(ctx context.Context, s Step) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	data, err := r.body(s, r.application)
	if err != nil {
		return Result{}, err
	}
	res, err := r.scopes.resource(ctx, s.Object)
	if errors.Is(err, errUnknownKind) {
		return Result{}, &trouble{Reason: events.ReasonUnknownKind, Err: err, Again: true, Message: unserved(s.Object)}
	}
	if err != nil {
		return Result{}, err
	}
	seen, err := r.apply(ctx, res, s.Object, data)
	if err != nil {
		return Result{}, err
	}
	if w := r.observer.watched(s.Object); w != nil {
		w.keep(seen)
	}
	action := map[Op]events.Action{OpCreate: events.ActionCreated, OpUpdate: events.ActionConfigured, OpAdopt: events.ActionAdopted}[s.Op]
	entry := Entry{Object: s.Object, Digest: s.Target.Digest, UID: seen.UID, Fields: seen.Fields, Left: s.Left}
	return Result{Entry: entry, Action: action, ResourceVersion: seen.ResourceVersion}, nil
}

// apply sends a request, and returns what it made. Only where health needs status
// is the whole object sent back.
func (r *run) apply(ctx context.Context, res resource, o events.Object, data []byte) (sighting, error) {
	force := true
	options := metav1.PatchOptions{Force: &force, FieldManager: manifest.FieldManager, FieldValidation: metav1.FieldValidationStrict}
	if needsStatus(o.Group, o.Kind) {
		u, err := r.client(res, o).Patch(ctx, o.Name, types.ApplyPatchType, data, options)
		if err != nil {
			return sighting{}, err
		}
		seen := sight(o, u)
		seen.Health = healthOf(u)
		return seen, nil
	}
	var client metadata.ResourceInterface = r.metadata.Resource(res.GroupVersionResource)
	if o.Namespace != "" {
		client = r.metadata.Resource(res.GroupVersionResource).Namespace(o.Namespace)
	}
	m, err := client.Patch(ctx, o.Name, types.ApplyPatchType, data, options)
	if err != nil {
		return sighting{}, err
	}
	seen := sight(o, m)
	seen.Health = health{Status: healthCurrent}
	return seen, nil
}

// lookAgain reads an object that is not as it was expected, and decides its
// step again.
func (r *run) lookAgain(ctx context.Context, s Step) (Step, error) {
	seen, exists, err := r.look(ctx, s.Object)
	if err != nil {
		return s, err
	}
	owner := r.owner(r.application, seen)
	switch {
	case !exists:
		s.Op, s.UID, s.ResourceVersion = OpCreate, "", ""
		return s, nil
	case owner != "" && owner != r.application:
		refusal := refuseForeign(*s.Target, owner)
		return s, &trouble{Reason: refusal.Reason, Message: refusal.Message}
	case seen.Deleting:
		return s, &trouble{Reason: events.ReasonRefused, Again: true, Message: fmt.Sprintf("%s is being deleted; it is created again when it is gone", s.Object)}
	case owner == "" && s.Op == OpCreate:
		s.Op = OpAdopt
	case s.Op == OpCreate:
		s.Op = OpUpdate
	}
	s.UID, s.ResourceVersion = seen.UID, seen.ResourceVersion
	s.Left = leftOut(s.Target.Ignored, s.Target.Body, seen.Others)
	return s, nil
}

func apiVersion(o events.Object) string {
	if o.Group == "" {
		return o.Version
	}
	return o.Group + "/" + o.Version
}
