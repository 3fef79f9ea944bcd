// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// clockFaults are clocks that somebody sets while everything runs.
var clockFaults = []Fault{
	{
		Row: "F31", Name: clockJumps, About: "the wall clocks of some services and of the bus jump by up to two hours, forward and back, each for itself, while they run; then all at once they are right again",
		Weight: 3, Hold: Span{2 * time.Second, 5 * time.Second}, Needs: NeedClock, Inject: jumpClocks,
	},
}

const clockJumps = "clock-jumps"

// jumpClocks puts clocks off and, half a second later, some of them once more.
func jumpClocks(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
	clocks := append([]string{"nats"}, services...)
	some := rng.Perm(len(clocks))[:1+rng.IntN(len(clocks))]
	jump := func(share int) error {
		for _, n := range some {
			if rng.IntN(share) > 0 {
				continue
			}
			off := time.Duration(rng.Int64N(int64(4*time.Hour))) - 2*time.Hour
			if rng.IntN(3) == 0 { // within what windows and deadlines are of
				off /= 60
			}
			w.Note(fmt.Sprintf("the clock of the %s is %s off", clocks[n], off.Truncate(time.Second)))
			if err := w.SetClock(clocks[n], off); err != nil {
				return err
			}
		}
		return nil
	}
	err := jump(1)
	if err == nil {
		err = pause(ctx, 500*time.Millisecond)
	}
	if err == nil {
		err = jump(2)
	}
	return func(context.Context) error {
		var errs []error
		for _, n := range some {
			errs = append(errs, w.SetClock(clocks[n], 0))
		}
		return errors.Join(errs...)
	}, err
}
