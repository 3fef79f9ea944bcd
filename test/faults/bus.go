// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"
)

var busFaults = []Fault{
	{
		Row: "F6", Name: "bus-down", About: "the bus stopped in order, and started again", Weight: 4,
		Hold: Span{500 * time.Millisecond, 3 * time.Second}, Outage: true, Inject: busDown((*World).stopBus),
	},
	{
		Row: "F6", Name: "bus-killed", About: "the bus killed, and started again", Weight: 4,
		Hold: Span{0, 2 * time.Second}, Outage: true, Inject: busDown((*World).killBus),
	},
	{
		Row: "F7", Name: "bus-frozen", About: "the bus stopped by SIGSTOP: connections stay, nothing answers", Weight: 3,
		Hold:   Span{time.Second, 4 * time.Second},
		Inject: freeze("nats"),
	},
}

func (w *World) stopBus() error { return w.Process("nats").Stop() }
func (w *World) killBus() error { return w.Process("nats").Kill() }

func busDown(end func(*World) error) func(context.Context, *World, *rand.Rand) (Lift, error) {
	return func(_ context.Context, w *World, _ *rand.Rand) (Lift, error) {
		if err := end(w); err != nil {
			return nil, err
		}
		return w.StartNATS, nil
	}
}

// freeze stops a process without ending it.
func freeze(name string) func(context.Context, *World, *rand.Rand) (Lift, error) {
	return func(_ context.Context, w *World, _ *rand.Rand) (Lift, error) {
		if err := w.Process(name).Signal(syscall.SIGSTOP); err != nil {
			return nil, err
		}
		return func(context.Context) error { return w.Process(name).Signal(syscall.SIGCONT) }, nil
	}
}
