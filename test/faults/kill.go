// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

var killFaults = []Fault{
	{
		Row: "F1", Name: "kill-watcher", About: "the watcher killed (SIGKILL) at any moment, and started again", Weight: 4,
		Hold: Span{0, 800 * time.Millisecond}, Inject: kill("watcher"),
	},
	{
		Row: "F2", Name: "kill-renderer", About: "the renderer and its children killed at any moment, and started again", Weight: 4,
		Hold: Span{0, 800 * time.Millisecond}, Inject: kill("renderer"),
	},
	{
		Row: "F3", Name: "kill-applier", About: "the applier killed at any moment, and started again", Weight: 6,
		Hold: Span{0, 800 * time.Millisecond}, Inject: kill("applier"),
	},
	{
		Row: "F4", Name: "kill-auditor", About: "auditor or notifier killed at any moment, and started again", Weight: 3,
		Hold: Span{0, 800 * time.Millisecond},
		Inject: func(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
			return kill([]string{"auditor", "auditor", "notifier"}[rng.IntN(3)])(ctx, w, rng)
		},
	},
	{
		Row: "F5", Name: "kill-all", About: "all five services killed, one after the other at random, some of them twice", Weight: 5,
		Hold: Span{0, time.Second}, Inject: killAll,
	},
}

// kill ends a service as a crash would; lifted, it is started again.
func kill(service string) func(context.Context, *World, *rand.Rand) (Lift, error) {
	return func(_ context.Context, w *World, _ *rand.Rand) (Lift, error) {
		if err := w.Kill(service); err != nil {
			return nil, err
		}
		return func(context.Context) error { return w.Start(service) }, nil
	}
}

// killAll kills in a random order, and starts some again at once and some when
// it is lifted.
func killAll(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
	down := map[string]bool{}
	for range 2 {
		for _, n := range rng.Perm(len(services)) {
			service := services[n]
			if down[service] {
				continue
			}
			if err := w.Kill(service); err != nil {
				return nil, err
			}
			if down[service] = rng.IntN(2) == 0; down[service] {
				continue
			}
			if err := w.Start(service); err != nil {
				return nil, err
			}
		}
	}
	return func(context.Context) error {
		var errs []error
		for _, service := range services {
			if down[service] {
				errs = append(errs, w.Start(service))
			}
		}
		return errors.Join(errs...)
	}, nil
}
