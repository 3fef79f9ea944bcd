// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// quanta gives a tree the quantum of what is long, and all others one that
// doesn't end: which of them is short is no matter of how busy the machine is.
func quanta(long *tree, d time.Duration) func(*tree) time.Duration {
	return func(t *tree) time.Duration {
		if t == long {
			return d
		}
		return time.Hour
	}
}

// However many renders take until the timeout, one that is short gets its turn
// before any of them has ended; and of those that are long one goes on to its end.
func TestLongRendersLeaveRoomForShortOnes(t *testing.T) {
	l := testLimits
	l.timeout = time.Hour // the long ones end with the test
	p := testPool(t, 2, l)
	heavy, short := unpacked(t, slow(10_000)), unpacked(t, good)
	p.quantum = quanta(heavy, 200*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
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
	bustest.Eventually(t, "one of them to go on", func() bool { return len(p.heavy) > 0 })
	for range 5 {
		patience, done := context.WithTimeout(ctx, bustest.Timeout)
		if out, err := p.render(patience, short, "app"); err != nil || out.Failure != nil || len(out.Objects) != 1 {
			t.Fatalf("a short render: %d objects, %v, %v", len(out.Objects), out.Failure, err)
		}
		done()
	}
	if n := len(p.heavy); n != 1 {
		t.Errorf("%d long renders go on", n)
	}
}

// A render that gave way is begun anew and has its result.
func TestALongRenderThatGaveWayEnds(t *testing.T) {
	p := testPool(t, 2, testLimits)
	medium := unpacked(t, slow(60))
	p.quantum = quanta(medium, time.Millisecond)
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
