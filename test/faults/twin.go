// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"syscall"
	"time"
)

var twinFaults = []Fault{
	{
		Row: "F32", Name: "two-appliers", About: "a second applier on the same cluster, by mistake", Weight: 3,
		Hold: Span{time.Second, 4 * time.Second}, Inject: twin("applier", false),
	},
	{
		Row: "F32", Name: "two-appliers-one-asleep", About: "a second applier, while the first one sleeps (SIGSTOP) with revisions in its hands, past ack_wait (2 s; there is no lease, the fence takes its place), and wakes up later", Weight: 4,
		Hold: Span{3 * time.Second, 6 * time.Second}, Inject: twin("applier", true),
	},
	{
		Row: "F12", Name: "two-renderers-one-asleep", About: "a second renderer, while the first one sleeps past ack_wait (2 s) and brings its older manifests late", Weight: 3,
		Hold: Span{3 * time.Second, 6 * time.Second}, Inject: twin("renderer", true),
	},
	{
		Row: "F32", Name: "two-watchers", About: "a second watcher with mirrors of its own, while the first one sleeps past ack_wait (2 s) and wakes up later", Weight: 2,
		Hold: Span{3 * time.Second, 5 * time.Second}, Inject: twin("watcher", true),
	},
	{
		Row: "F32", Name: "asleep", About: "one service sleeps (SIGSTOP) past ack_wait (2 s; there is no lease, the fence takes its place) and wakes up later", Weight: 3,
		Hold: Span{3 * time.Second, 6 * time.Second},
		Inject: func(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
			return freeze(services[rng.IntN(len(services))])(ctx, w, rng)
		},
	},
}

// twin starts a second process of a service, perhaps in the place of one that
// sleeps meanwhile; lifted, the first one is alone again.
func twin(service string, asleep bool) func(context.Context, *World, *rand.Rand) (Lift, error) {
	return func(_ context.Context, w *World, _ *rand.Rand) (Lift, error) {
		first := w.Process(service)
		if asleep {
			if err := first.Signal(syscall.SIGSTOP); err != nil {
				return nil, err
			}
		}
		second := w.Another(service)
		if service == "watcher" { // a mirror has one owner, and a port one listener
			second.Args = separate(second.Args, w.Dir)
		}
		if err := second.Start(); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			var err error
			if asleep {
				err = first.Signal(syscall.SIGCONT)
			}
			// Both are awake for a moment.
			return errors.Join(err, pause(ctx, 500*time.Millisecond), second.Kill())
		}, nil
	}
}

// separate gives a watcher's command line another folder for its mirrors and no
// webhooks.
func separate(args []string, dir string) []string {
	var own []string
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "--mirrors":
			own = append(own, args[i], dir+"/mirrors-2")
			i++
		case "--webhook-listen", "--webhook-secrets":
			i++
		default:
			own = append(own, args[i])
		}
	}
	return own
}
