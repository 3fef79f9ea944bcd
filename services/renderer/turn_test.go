// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// However many renders take until the timeout, one that is short gets its turn
// before any of them has ended; and of those that are long one goes on to its end.
func TestLongRendersLeaveRoomForShortOnes(t *testing.T) {
	p := testPool(t, 2, testLimits)
	p.quantum = time.Second
	ctx, cancel := context.WithCancel(t.Context())
	heavy := unpacked(t, slow(10_000))
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	for range 5 {
		all.Go(func() {
			if _, err := p.render(ctx, heavy, "app"); !errors.Is(err, context.Canceled) {
				t.Errorf("a long render has ended: %v", err)
			}
		})
	}
	for range 5 {
		rendersGood(t, p)
	}
	if n := len(p.heavy); n != 1 {
		t.Errorf("%d long renders go on", n)
	}
}

// A render that gave way is begun anew and has its result.
func TestALongRenderThatGaveWayEnds(t *testing.T) {
	p := testPool(t, 2, testLimits)
	p.quantum = time.Millisecond
	medium := unpacked(t, slow(60))
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			out, err := p.render(t.Context(), medium, "app")
			if err != nil || out.Failure != nil || len(out.Objects) != 60 {
				t.Errorf("%d objects, %v, %v", len(out.Objects), out.Failure, err)
			}
		})
	}
	all.Wait()
	if len(p.heavy) > 0 || len(p.slots) > 0 {
		t.Errorf("%d long renders and %d slots are held", len(p.heavy), len(p.slots))
	}
}
