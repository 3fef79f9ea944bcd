// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/failpoint"
)

// remove deletes one object as it was seen: if it has changed since, it is
// looked at again, and stays if it is no longer ours. It is gone where the API
// server says so of it, or discovery says that its kind is no longer served.
func (r *run) remove(ctx context.Context, s Step) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pause := firstPause
	for attempt := 1; ; attempt++ {
		if err := r.confirm(ctx, false); err != nil {
			return Result{}, err
		}
		res, err := r.scopes.anyVersion(ctx, s.Object)
		if errors.Is(err, errUnknownKind) {
			return Result{Action: events.ActionPruned, Gone: true}, nil // with its CRD
		}
		if err == nil {
			background := metav1.DeletePropagationBackground
			err = r.client(res, s.Object).Delete(ctx, s.Name, metav1.DeleteOptions{
				PropagationPolicy: &background,
				Preconditions:     &metav1.Preconditions{UID: (*types.UID)(&s.UID), ResourceVersion: &s.ResourceVersion},
			})
		}
		if notServed(err) {
			// The object is there still, or its CRD has gone: discovery knows.
			r.scopes.forget()
			err = &trouble{Reason: events.ReasonUnknownKind, Err: err, Again: true, Message: unserved(s.Object)}
		}
		switch {
		case err == nil:
			if err := failpoint.Hit(failpoint.ApplierAfterPrune); err != nil {
				return Result{}, err
			}
			return r.removed(ctx, s)
		case isGone(err):
			r.forget(s.Object)
			return Result{Action: events.ActionPruned, Gone: true}, nil
		case ctx.Err() != nil:
			return Result{}, ctx.Err()
		case apierrors.IsConflict(err):
			if err := r.confirm(ctx, true); err != nil {
				return Result{}, err
			}
			seen, exists, lookErr := r.look(ctx, s.Object)
			switch {
			case lookErr != nil:
				err = lookErr
			case !exists:
				return Result{Action: events.ActionPruned, Gone: true}, nil
			case seen.Deleting:
				return r.removed(ctx, s)
			case r.owner(r.application, seen) != r.application:
				return Result{Action: events.ActionOrphaned, Gone: true}, nil
			}
			s.UID, s.ResourceVersion = seen.UID, seen.ResourceVersion
		}
		if unanswered(err) && !isTrouble(err) {
			return Result{}, err
		}
		explained := explainRemoval(s.Object, err)
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

// isGone says that the API server answered a request for an object with that it
// has none of this name.
func isGone(err error) bool {
	return apierrors.IsNotFound(err) && !notServed(err)
}

// notServed says that the API server knows no such path, which is no word on the
// object: an answer about an object names it, and this one names none (apiserver's
// pkg/server/handler.go, and client-go's for what is no JSON).
func notServed(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Name == ""
}

// removed tells whether an object whose deletion was accepted is gone: a
// finalizer may keep it for a while, or for ever. The watch knows.
func (r *run) removed(ctx context.Context, s Step) (Result, error) {
	deadline := time.Now().Add(removalWait)
	for {
		seen, ok := r.observer.get(s.Object)
		if !ok || seen.UID != s.UID {
			return Result{Action: events.ActionPruned, Gone: true}, nil
		}
		if time.Now().After(deadline) {
			return Result{Action: events.ActionPruned}, nil
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return Result{}, err
		}
	}
}

// removalWait is how long a run waits for a deleted object to be gone. What
// takes longer stays in the inventory, and the watch tells when it is.
const removalWait = 2 * time.Second

// forget drops an object from what the watch knows.
func (a *applier) forget(o events.Object) {
	if w := a.observer.watched(o); w != nil {
		w.drop(o.Key())
	}
}
