// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// HandOn hands on a batch as a consumer does that ends when ctx does.
func HandOn(ctx context.Context, c *Consumer, batch jetstream.MessageBatch) error {
	s := &schedule{Consumer: c, worker: &worker{Consumer: c, io: context.WithoutCancel(ctx)}, arrivals: make(chan arrival)}
	c.conn.epoch.forget()
	return s.handOn(ctx, func() {}, batch)
}

// Subscriptions counts what a connection listens to.
func Subscriptions(c *Conn) int { return c.wire.nc.NumSubscriptions() }

// YieldMost is how long what yields waits for others at most.
const YieldMost = yieldMost
