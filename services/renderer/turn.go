// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"context"
	"errors"
	"time"
)

// quantum is many times what a render takes on a busy machine, and no more than a
// neighbour may be kept waiting for.
const quantum = 2 * time.Second

// errHeavy says that a render gave its slot back because it was long.
var errHeavy = errors.New("a long render, which waits for its turn")

// turn renders in a slot. After the quantum it goes on only as one of the long
// renders, which are fewer than the slots: where there are several slots, one is
// always free for what is short, however many applications take until the
// timeout. A render that finds the long ones complete is given up, and begun anew
// when it is its turn.
func (p *pool) turn(ctx context.Context, t *tree, name string) (result, error) {
	if err := acquire(ctx, p.slots); err != nil {
		return result{}, err
	}
	defer release(p.slots)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	kept := make(chan bool, 1) // whether it became one of the long ones
	long := time.AfterFunc(p.quantum(t), func() {
		select {
		case p.heavy <- struct{}{}:
			kept <- true
		default:
			cancel(errHeavy)
			kept <- false
		}
	})
	out, err := p.work(ctx, t, name)
	if !long.Stop() && <-kept {
		release(p.heavy)
	}
	if err != nil && context.Cause(ctx) == errHeavy { //nolint:errorlint // the very one
		return result{}, errHeavy
	}
	return out, err
}

func acquire(ctx context.Context, from chan<- struct{}) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case from <- struct{}{}:
		return nil
	}
}

func release(to <-chan struct{}) { <-to }
