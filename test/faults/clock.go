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
	{
		Row: "F31", Name: clockRates, About: "the wall clocks of some services and of the bus run twice as fast or half as fast, each for itself, and some change over; then all at once they are right again",
		Weight: 2, Hold: Span{3 * time.Second, 8 * time.Second}, Needs: NeedClock, Inject: runClocks,
	},
}

const (
	clockJumps = "clock-jumps"
	clockRates = "clock-rates"
)

// jumpClocks puts clocks off and, half a second later, some of them once more.
func jumpClocks(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
	return w.wrongClocks(ctx, rng, 500*time.Millisecond, func(process string) error {
		off := time.Duration(rng.Int64N(int64(4*time.Hour))) - 2*time.Hour
		if rng.IntN(3) == 0 { // within what windows and deadlines are of
			off /= 60
		}
		w.Note(fmt.Sprintf("the clock of the %s is %s off", process, off.Truncate(time.Second)))
		return w.SetClock(process, off)
	})
}

// runClocks has clocks run too fast or too slow, and some change over, so that
// they are right again first.
func runClocks(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
	return w.wrongClocks(ctx, rng, 2*time.Second, func(process string) error {
		rate := []float64{2, 0.5}[rng.IntN(2)]
		w.Note(fmt.Sprintf("the clock of the %s runs at %g", process, rate))
		return w.RunClock(process, rate)
	})
}

// wrongClocks sets some clocks wrong and, later, some of those once more.
func (w *World) wrongClocks(ctx context.Context, rng *rand.Rand, later time.Duration, set func(process string) error) (Lift, error) {
	clocks := append([]string{"nats"}, services...)
	some := rng.Perm(len(clocks))[:1+rng.IntN(len(clocks))]
	all := func(share int) error {
		for _, n := range some {
			if rng.IntN(share) > 0 {
				continue
			}
			if err := set(clocks[n]); err != nil {
				return err
			}
		}
		return nil
	}
	err := all(1)
	if err == nil {
		err = pause(ctx, later)
	}
	if err == nil {
		err = all(2)
	}
	return func(context.Context) error {
		var errs []error
		for _, n := range some {
			errs = append(errs, w.SetClock(clocks[n], 0))
		}
		return errors.Join(errs...)
	}, err
}
