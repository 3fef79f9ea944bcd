// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/plumbline-dev/plumbline/internal/failpoint"
	"github.com/plumbline-dev/plumbline/test/proxy"
)

// wireFaults are what happens between the services and the bus.
var wireFaults = []Fault{
	{
		Row: "F7", Name: "bus-partition", About: "nothing gets through between some services and the bus; then all of it does", Weight: 3,
		Hold: Span{500 * time.Millisecond, 6 * time.Second}, Needs: NeedProxy,
		Inject: between(func(*rand.Rand) proxy.Fault { return proxy.Fault{Hold: proxy.Both} }),
	},
	{
		Row: "F7", Name: "bus-one-way", About: "what some services send to the bus is lost, or what it answers; their connections stay half-open, until the client's pings find that, which it sends every 3 s: the third without an answer ends a connection", Weight: 3,
		Hold: Span{500 * time.Millisecond, 6 * time.Second}, Needs: NeedProxy,
		Inject: between(func(rng *rand.Rand) proxy.Fault {
			return proxy.Fault{Lose: []proxy.Direction{proxy.ToServer, proxy.ToClient, proxy.Both}[rng.IntN(3)]}
		}),
	},
	{
		Row: "F7", Name: "bus-slow", About: "up to 2 s between some services and the bus, each way", Weight: 2,
		Hold: Span{2 * time.Second, 6 * time.Second}, Needs: NeedProxy,
		Inject: between(func(rng *rand.Rand) proxy.Fault {
			return proxy.Fault{Delay: time.Duration(50+rng.IntN(1950)) * time.Millisecond}
		}),
	},
	{
		Row: "F7", Name: "bus-refused", About: "every connection of some services to the bus is reset", Weight: 2,
		Hold: Span{200 * time.Millisecond, 4 * time.Second}, Needs: NeedProxy,
		Inject: between(func(*rand.Rand) proxy.Fault { return proxy.Fault{Refuse: true} }),
	},
	{
		Row: "F7", Name: "bus-cut", About: "connections to the bus are reset in the middle of a message, time and again", Weight: 2,
		Hold: Span{time.Second, 4 * time.Second}, Needs: NeedProxy, Inject: cutBus,
	},
	{
		Row: "F11", Name: "delivered-again", About: "each message is delivered one to five times, out of order, late ones among them", Weight: 4,
		Hold: Span{2 * time.Second, 5 * time.Second}, Needs: NeedProxy, Inject: deliverAgain,
	},
	{
		Row: "F11", Name: "acks-lost", About: "half of all acknowledgements are lost", Weight: 3,
		Hold: Span{2 * time.Second, 5 * time.Second}, Needs: NeedProxy,
		Inject: func(_ context.Context, w *World, _ *rand.Rand) (Lift, error) {
			return w.deliver(proxy.Delivery{LoseAcks: 0.5}), nil
		},
	},
	{
		Row: "F12", Name: "renderer-late", About: "two renderers, one of which stops for 1.5 s between each bundle and its event", Weight: 3,
		Hold: Span{2 * time.Second, 5 * time.Second}, Needs: NeedFailpoints, Inject: lateRenderer,
	},
}

// between sets a fault between the bus and some services, all at times.
func between(make func(*rand.Rand) proxy.Fault) func(context.Context, *World, *rand.Rand) (Lift, error) {
	return func(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
		some := rng.Perm(len(services))[:1+rng.IntN(len(services))]
		for _, n := range some {
			f := make(rng)
			w.Links.Bus[services[n]].Set(f)
			w.Note(fmt.Sprintf("between bus and %s: %+v", services[n], f))
		}
		return func(context.Context) error {
			struck := 0
			for _, n := range some {
				struck += w.Links.Bus[services[n]].Struck()
				w.Links.Bus[services[n]].Mend()
			}
			if struck == 0 {
				w.Missed("nobody said anything to the bus")
			}
			return nil
		}, nil
	}
}

// cutBus resets each connection after a few thousand bytes, until it is lifted.
func cutBus(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
	for _, b := range w.Links.Bus {
		b.Set(proxy.Fault{Cut: int64(500 + rng.IntN(20_000))})
	}
	return func(context.Context) error {
		struck := 0
		for _, b := range w.Links.Bus {
			struck += b.Struck()
		}
		w.Links.Mend()
		if struck == 0 {
			w.Missed("no connection came to so many bytes")
		}
		return nil
	}, nil
}

// deliver sets what happens to the messages of all services.
func (w *World) deliver(d proxy.Delivery) Lift {
	met := func() (n int) { // copies and losses until now
		for _, b := range w.Links.Bus {
			n += b.Deliveries().Copied + b.Deliveries().Lost
		}
		return n
	}
	before := met()
	for _, b := range w.Links.Bus {
		b.Deliver(d)
	}
	return func(context.Context) error {
		for service, b := range w.Links.Bus {
			b.Deliver(proxy.Delivery{})
			w.Note(fmt.Sprintf("deliveries to the %s until now: %+v", service, b.Deliveries()))
		}
		if met() == before {
			w.Missed("no message came twice, and no acknowledgement was lost")
		}
		return nil
	}
}

func deliverAgain(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
	return w.deliver(proxy.Delivery{Copies: 4, Spread: time.Duration(20+rng.IntN(1500)) * time.Millisecond}), nil
}

// lateRenderer runs a second renderer that is always late.
func lateRenderer(_ context.Context, w *World, _ *rand.Rand) (Lift, error) {
	second := w.Another("renderer")
	second.Arm(string(failpoint.RendererAfterBundle) + "=delay:1500ms")
	if err := second.Start(); err != nil {
		return nil, err
	}
	return func(context.Context) error {
		return errors.Join(second.Stop())
	}, nil
}
