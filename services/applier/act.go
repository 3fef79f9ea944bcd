// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

const (
	// pool is how many requests of one application are under way at once. The
	// API server's priority and fairness governs beyond that: client-go waits
	// as long as a 429 asks for, with the place in the pool taken.
	pool = 16
	// batch is how many objects are written before the fence is confirmed
	// again, if fenceLife has passed since.
	batch = 64
	// fenceLife is how long, by local elapsed time, a fence that was written
	// or confirmed is believed: a process that was stopped for longer asks
	// before it writes on.
	fenceLife = time.Second

	requestTimeout = 30 * time.Second
	attempts       = 5 // of one object in one run
	firstPause     = 200 * time.Millisecond
	groundTimeout  = 30 * time.Second // for Namespaces and CRDs to be established
)

// Result is what became of one step.
type Result struct {
	Entry  Entry // of a written object, as the API server returned it
	Action events.Action
	Gone   bool // of a deleted one: it is no longer there
	Err    error
}

// run carries one plan out.
type run struct {
	*applier
	application string
	inventory   Inventory // as written; its fence is ours
	confirmed   time.Time // when the fence was last seen to be ours

	mu      sync.Mutex
	results map[string]Result
}

// carry out does the steps of a plan, phase by phase, then what leaves. It
// returns an error only for what ends the run as a whole: a lost fence, an API
// server that is gone, the end of ctx. Else what went wrong with an object is
// in its result, and the others go on.
func (r *run) carryOut(ctx context.Context, plan Plan) error {
	r.results = make(map[string]Result, len(plan.Steps))
	for p := range phaseCount {
		var steps []Step
		for _, s := range plan.Steps {
			if s.Target != nil && s.Phase == p {
				steps = append(steps, s)
			}
		}
		if err := r.batches(ctx, steps, r.write); err != nil {
			return err
		}
		if p == phaseGround {
			r.establish(ctx, steps)
		}
	}
	if r.failed() {
		return nil // what leaves may be what the failed object was to replace
	}
	for p := phaseCount - 1; p >= 0; p-- {
		var steps []Step
		for _, s := range plan.Steps {
			if s.Op == OpDelete && s.Phase == p {
				steps = append(steps, s)
			}
		}
		if err := r.batches(ctx, steps, r.remove); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, result := range r.results {
		if result.Err != nil {
			return true
		}
	}
	return false
}

// batches does steps, several at once, and confirms the fence before each
// batch.
func (r *run) batches(ctx context.Context, steps []Step, do func(context.Context, Step) (Result, error)) error {
	for len(steps) > 0 {
		n := min(batch, len(steps))
		if err := r.confirm(ctx); err != nil {
			return err
		}
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(pool)
		for _, s := range steps[:n] {
			group.Go(func() error {
				result, err := do(ctx, s)
				if err != nil {
					return err
				}
				r.mu.Lock()
				defer r.mu.Unlock()
				r.results[s.Key()] = result
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		steps = steps[n:]
	}
	return nil
}

// confirm makes sure that the fence is still ours.
func (r *run) confirm(ctx context.Context) error {
	if time.Since(r.confirmed) < fenceLife {
		return nil
	}
	if err := r.inventories.confirm(ctx, r.inventory); err != nil {
		return err
	}
	r.confirmed = time.Now()
	return nil
}

func (r *run) resource(ctx context.Context, o events.Object) (dynamic.ResourceInterface, error) {
	res, err := r.scopes.resource(ctx, o)
	if err != nil {
		return nil, err
	}
	client := r.dynamic.Resource(res.GroupVersionResource)
	if o.Namespace != "" {
		return client.Namespace(o.Namespace), nil
	}
	return client, nil
}

// write applies one object. An object that has changed since it was seen is
// looked at again and decided again.
func (r *run) write(ctx context.Context, s Step) (Result, error) {
	if !s.Op.Writes() {
		return Result{Action: events.ActionUnchanged}, nil
	}
	pause := firstPause
	for attempt := 1; ; attempt++ {
		result, err := r.patch(ctx, s)
		if err == nil {
			return result, nil
		}
		if ctx.Err() != nil {
			return Result{}, ctx.Err()
		}
		if apierrors.IsConflict(err) || s.UID != "" && apierrors.IsNotFound(err) {
			var again error
			if s, again = r.lookAgain(ctx, s); again != nil {
				err = again
			} else if attempt < attempts {
				continue
			}
		}
		if unanswered(err) && !isTrouble(err) {
			return Result{}, err
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

func isTrouble(err error) bool {
	t := new(trouble)
	return errors.As(err, &t) || errors.Is(err, errUnknownKind)
}

// patch sends one server-side apply.
func (r *run) patch(ctx context.Context, s Step) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	data, err := r.body(s, r.application)
	if err != nil {
		return Result{}, err
	}
	client, err := r.resource(ctx, s.Object)
	if errors.Is(err, errUnknownKind) {
		return Result{}, &trouble{Reason: events.ReasonUnknownKind, Err: err, Again: true,
			Message: fmt.Sprintf("the cluster doesn't serve %s %s: install its CRD, or declare it", s.Kind, apiVersion(s.Object))}
	}
	if err != nil {
		return Result{}, err
	}
	force := true
	u, err := client.Patch(ctx, s.Name, types.ApplyPatchType, data, metav1.PatchOptions{
		Force: &force, FieldManager: manifest.FieldManager, FieldValidation: metav1.FieldValidationStrict,
	})
	if err != nil {
		return Result{}, err
	}
	seen := sight(s.Object, u)
	seen.Health = health{Status: healthCurrent}
	if needsStatus(s.Group, s.Kind) {
		seen.Health = healthOf(u)
	}
	if w := r.observer.watched(schema.GroupKind{Group: s.Group, Kind: s.Kind}); w != nil {
		w.keep(seen)
	}
	action := map[Op]events.Action{OpCreate: events.ActionCreated, OpUpdate: events.ActionConfigured, OpAdopt: events.ActionAdopted}[s.Op]
	entry := Entry{Object: s.Object, Digest: s.Target.Digest, UID: seen.UID, Fields: seen.Fields, Left: s.Left}
	return Result{Entry: entry, Action: action}, nil
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

// remove deletes one object as it was seen: if it has changed since, it is
// looked at again, and stays if it is no longer ours.
func (r *run) remove(ctx context.Context, s Step) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pause := firstPause
	for attempt := 1; ; attempt++ {
		client, err := r.resource(ctx, s.Object)
		if errors.Is(err, errUnknownKind) {
			return Result{Action: events.ActionPruned, Gone: true}, nil // with its CRD
		}
		if err == nil {
			background := metav1.DeletePropagationBackground
			err = client.Delete(ctx, s.Name, metav1.DeleteOptions{
				PropagationPolicy: &background,
				Preconditions:     &metav1.Preconditions{UID: (*types.UID)(&s.UID), ResourceVersion: &s.ResourceVersion},
			})
		}
		switch {
		case err == nil:
			return r.removed(ctx, s)
		case apierrors.IsNotFound(err):
			r.forget(s.Object)
			return Result{Action: events.ActionPruned, Gone: true}, nil
		case ctx.Err() != nil:
			return Result{}, ctx.Err()
		case apierrors.IsConflict(err):
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
		if unanswered(err) {
			return Result{}, err
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
	if w := a.observer.watched(schema.GroupKind{Group: o.Group, Kind: o.Kind}); w != nil {
		w.drop(o.Key())
	}
}

// establish waits, by watch, until the Namespaces and CRDs of steps are
// usable, and has discovery read again for new kinds.
func (r *run) establish(ctx context.Context, steps []Step) {
	ctx, cancel := context.WithTimeout(ctx, groundTimeout)
	defer cancel()
	fresh := false
	for _, s := range steps {
		if !s.Op.Writes() || r.results[s.Key()].Err != nil {
			continue
		}
		fresh = fresh || s.Kind == "CustomResourceDefinition"
		for {
			seen, ok := r.observer.get(s.Object)
			if ok && seen.Health.Status == healthCurrent {
				break
			}
			if err := sleep(ctx, 20*time.Millisecond); err != nil {
				r.results[s.Key()] = Result{Err: &trouble{Reason: events.ReasonUnhealthy, Again: true, Err: err,
					Message: fmt.Sprintf("%s is not established: %s", s.Object, seen.Health.Message)}}
				break
			}
		}
	}
	if fresh {
		r.scopes.forget()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func apiVersion(o events.Object) string {
	if o.Group == "" {
		return o.Version
	}
	return o.Group + "/" + o.Version
}
