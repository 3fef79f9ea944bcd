// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// Handler is given an event and returns what follows from it; with an error,
// nothing of what it returns is published. It doesn't publish, acknowledge,
// log, read the clock or make ids, and it is idempotent: it is called again
// for an event whose outputs are stored already. Its context ends when the
// consumer stops.
type Handler func(ctx context.Context, in events.Event) ([]events.Draft, error)

// Options are what consumers differ in.
type Options struct {
	// Concurrency is how many queues are worked on at once; default 4.
	Concurrency int
	// Key is the queue that an event waits in; a queue is worked on one by
	// one, in the order of the log. Default: [ApplicationKey].
	Key func(events.Event) string
	// Skip, where set, says of the subject of an event whether the handler would
	// have nothing to do: then the event is acknowledged unread. It is for what
	// others read too: whoever skips what is no event rejects nothing. It is
	// called by one goroutine, and not of what comes again.
	Skip func(*events.Type, events.Address) bool
	// Failed returns what is published of an input that is at fault, or that
	// failed too often (reason quarantined). Nil: a message.rejected; empty, but
	// not nil: nothing, as it was said before.
	Failed func(in events.Event, reason events.Reason, message string) []events.Draft
	// Settled, where set, is told what became of what is published.
	Settled Settled
}

// ApplicationKey is the queue of the event's application; what concerns no
// application waits by type and cluster.
func ApplicationKey(in events.Event) string {
	if in.Application != "" {
		return in.Application
	}
	return "." + in.Type.Name() + "." + in.Cluster
}

// A consumer's hands are full when it holds maxCounted inputs, where those of one
// queue beyond the first maxOfOne are not counted: they keep their order behind
// those, and none of another queue from being pulled. maxHeld bounds what that
// takes of memory.
const (
	maxCounted = 128
	maxOfOne   = 16
	maxHeld    = 2048
)

// Consumer works on the events of one consumer of the log.
type Consumer struct {
	conn    *Conn
	name    string
	handler Handler
	options Options
	log     *slog.Logger
	// alone keeps an input that died with its process, before, apart from
	// the others: if it does so again, they are not taken for its accomplices.
	alone sync.RWMutex

	gaps atomic.Uint64 // how often deliveries were missed; see [Tenure]

	mu       sync.Mutex
	observed []*task       // not yet in a queue
	wake     chan struct{} // holds one token when observed is not empty
}

// Consumer returns the consumer of a name, which the provisioner made. Run
// starts it.
func (c *Conn) Consumer(name string, h Handler, o Options) *Consumer {
	if o.Concurrency < 1 {
		o.Concurrency = 4
	}
	if o.Key == nil {
		o.Key = ApplicationKey
	}
	return &Consumer{
		conn: c, name: name, handler: h, options: o,
		log:  c.log.With("consumer", name),
		wake: make(chan struct{}, 1),
	}
}

// Observe puts an observation into a queue, behind what waits there. fn is
// what a handler is for a message: what it returns is published, an error is
// tried again with the consumer's back-off list, an outage until it ends. An
// observation whose key, cause and matter (its cause's About) wait already is
// not queued again; those that
// wait when the consumer stops are gone: the level is read again at the start.
func (c *Consumer) Observe(key string, cause events.Cause, fn func(context.Context) ([]events.Draft, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.observed = append(c.observed, &task{key: key, received: time.Now(), observation: &observation{cause: cause, fn: fn}})
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Consumer) takeObserved() []*task {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.observed
	c.observed = nil
	return taken
}
