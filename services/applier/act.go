// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/failpoint"
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

	requestTimeout = 30 * time.Second // of one attempt at one object
	attempts       = 5                // of one object in one run
	firstPause     = 200 * time.Millisecond
	groundTimeout  = 30 * time.Second // for Namespaces and CRDs to be established
)

// Result is what became of one step.
type Result struct {
	Entry  Entry // of a written object, as the API server returned it
	Action events.Action
	// ResourceVersion of a written object, as the API server returned it.
	ResourceVersion string
	Gone            bool // of a deleted one: it is no longer there
	Err             error
}

// run carries one plan out.
type run struct {
	*applier
	application string
	inventory   Inventory // as written; its fence is ours

	fence     sync.Mutex
	confirmed time.Time // when the fence was last seen to be ours

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
		if err := r.batches(ctx, steps, r.step(r.write)); err != nil {
			return err
		}
		if p == phaseGround {
			r.establish(ctx, steps)
		}
	}
	if r.failed() {
		return nil // what leaves may be what the failed object was to replace
	}
	if err := failpoint.Hit(failpoint.ApplierBeforePrune); err != nil {
		return err
	}
	for p := phaseCount - 1; p >= 0; p-- {
		var steps []Step
		for _, s := range plan.Steps {
			if s.Op == OpDelete && s.Phase == p {
				steps = append(steps, s)
			}
		}
		if err := r.batches(ctx, steps, r.step(r.remove)); err != nil {
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
		if err := r.confirm(ctx, false); err != nil {
			return err
		}
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(pool)
		for _, s := range steps[:n] {
			group.Go(bus.Guard(func() error {
				result, err := do(ctx, s)
				if err != nil {
					return err
				}
				r.mu.Lock()
				defer r.mu.Unlock()
				r.results[s.Key()] = result
				return nil
			}))
		}
		if err := group.Wait(); err != nil {
			return err
		}
		steps = steps[n:]
	}
	return nil
}

// confirm makes sure that the fence is still ours. Within fenceLife it is
// believed, unless there is doubt: an object that someone else has written may
// be of a newer revision, whose fence was raised before.
func (r *run) confirm(ctx context.Context, doubt bool) error {
	r.fence.Lock()
	defer r.fence.Unlock()
	if !doubt && time.Since(r.confirmed) < r.believed {
		return nil
	}
	if err := r.inventories.confirm(ctx, r.inventory); err != nil {
		return err
	}
	r.confirmed = time.Now()
	return nil
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
			err := sleep(ctx, 20*time.Millisecond)
			if err != nil || ok && seen.Health.Status == healthFailed {
				r.results[s.Key()] = Result{Err: &trouble{
					Reason: events.ReasonUnhealthy, Again: true, Err: err,
					Message: fmt.Sprintf("%s is not established: %s", s.Object, seen.Health.Message),
				}}
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
