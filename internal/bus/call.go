// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"slices"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// call is one call of a handler, as far as the handler may ask about it.
type call struct {
	received time.Time
	tenure   Tenure // zero: none
	outlook  Outlook
	latest   bool
	stored   []func([]events.Event)
	yield    func(context.Context) // nil: it has no queue
}

type callKey struct{}

// callOf is the call that ctx belongs to; outside of one, a call of which nothing
// is known.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

// Now returns the time at which the input that ctx belongs to was received: a
// handler's only clock.
func Now(ctx context.Context) time.Time {
	c := callOf(ctx)
	if c.received.IsZero() {
		panic("bus: Now outside of a handler")
	}
	return c.received
}

// Tenure is a time in which one process alone was given what a consumer of the
// log delivers, all of it, over one connection. The sequence that the server
// counts its deliveries by tells: another process that pulls from the consumer,
// or a delivery that was lost, leaves a gap.
//
// What a handler remembers of the log, and nobody else can have changed, is true
// for as long as the tenure is the same; after that it is to be asked for again.
type Tenure struct {
	connection uint64 // how often it has changed
	gaps       uint64 // how many there were
}

// TenureOf is the tenure in which ctx's input came, read before its handler was
// called. It is false for an input that came before, and for an observation:
// what went on meanwhile is not known.
func TenureOf(ctx context.Context) (Tenure, bool) {
	t := callOf(ctx).tenure
	return t, t != Tenure{}
}

// Outlook is what is known, without asking the log, of newer events on the
// subject of an input.
type Outlook int

// Outlooks. One that is not known may be either of the others.
const (
	OutlookUnknown    Outlook = iota
	OutlookNewest             // there was none when the consumer last heard of the log
	OutlookSuperseded         // one of the same epoch waits behind it
)

// OutlookOf is the outlook of ctx's input, as its handler was called.
func OutlookOf(ctx context.Context) Outlook { return callOf(ctx).outlook }

// Latest says that ctx's input, as its handler was called, was the last that the
// consumer is given about its address, whatever their types: there was none when
// it last heard of the log. False says nothing.
func Latest(ctx context.Context) bool { return callOf(ctx).latest }

// Stored has fn called with what the handler's call led to, once that is stored
// and before the input is acknowledged. It is not called where nothing was
// published, something failed, or an event was there already: who stored that
// may have stored more since.
func Stored(ctx context.Context, fn func([]events.Event)) {
	c := callOf(ctx)
	c.stored = append(c.stored, fn)
}

// tell calls what waits for what was stored.
func (c *call) tell(published []events.Event) {
	for _, fn := range c.stored {
		fn(published)
	}
}

// tenure is the one that begins, or goes on, now.
func (c *Consumer) tenure() Tenure {
	return Tenure{connection: 1 + c.conn.changes.Load(), gaps: c.gaps.Load()}
}

// callFor is the call for an input that is about to be handled.
func (w *worker) callFor(t *task) *call {
	c := &call{received: t.received, yield: w.yield}
	if t.observation == nil && t.latest().count == 1 {
		c.tenure, c.outlook, c.latest = w.tenure(), t.outlook, t.last
	}
	return c
}

// follows takes note of the sequence of a delivery.
func (s *schedule) follows(delivery, pending uint64) {
	if delivery != s.delivered+1 {
		s.gaps.Add(1)
	}
	s.delivered, s.behind = delivery, pending > 0
}

// outlook tells what is known of newer events on the subject of t, which waits
// no longer. What is stored is on its way while a pull stands, and what was
// stored before the last delivery is here where nothing was left behind it.
func (s *schedule) outlook(t *task) Outlook {
	if t.observation != nil || t.broken != nil {
		return OutlookUnknown
	}
	for _, o := range s.queues.byKey[t.key].tasks {
		if o.observation == nil && o.in.Type == t.in.Type && o.in.Address == t.in.Address && o.in.Epoch == t.in.Epoch && o.in.Stored > t.in.Stored {
			return OutlookSuperseded
		}
	}
	if s.pulling && !s.behind {
		return OutlookNewest
	}
	return OutlookUnknown
}

// last says that nothing about the address of t, whose outlook is known, waits
// behind it.
func (s *schedule) last(t *task) bool {
	return t.outlook == OutlookNewest && !slices.ContainsFunc(s.queues.byKey[t.key].tasks, func(o *task) bool {
		return o.observation == nil && o.in.Address == t.in.Address && o.in.Stored > t.in.Stored
	})
}
