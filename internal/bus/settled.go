// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"

	"github.com/plumbline-dev/plumbline/events"
)

// Settled is told what became of the drafts that an input led to, in the input's
// queue, before anything else is worked on there. Stored are the events as they
// lie in the log, in the order of the drafts. It is nil where that isn't known:
// publishing failed, which may be the loss of an answer, or one of them was in
// the log already, and may say something else there. It must not block.
type Settled func(drafts []events.Draft, stored []events.Event)

// settled tells the consumer what became of drafts. Told of nothing is what can't
// have changed the log.
func (w *worker) settled(drafts []events.Draft, stored []events.Event, known bool) {
	if w.options.Settled == nil || len(drafts) == 0 {
		return
	}
	if !known {
		stored = nil
	}
	w.options.Settled(drafts, stored)
}

type redeliveredKey struct{}

// Redelivered reports whether the input that ctx belongs to may have been given
// to a handler before, of this process or another.
func Redelivered(ctx context.Context) bool { return ctx.Value(redeliveredKey{}) != nil }

// Life is one stretch of a connection to one log: equal ones say that the log
// has not begun anew, and that the connection was not lost, in between.
type Life struct {
	epoch string
	until <-chan struct{}
}

// Epoch is which life of the log it is of.
func (l Life) Epoch() string { return l.epoch }

// Life asks, at most once a second, which life of the log the connection has to
// do with.
func (c *Conn) Life(ctx context.Context) (Life, error) {
	until := c.changed()
	epoch, err := c.currentEpoch(ctx)
	return Life{epoch: epoch, until: until}, err
}
