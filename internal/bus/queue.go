// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/plumbline-dev/plumbline/events"
)

// task is an input: a message or an observation.
type task struct {
	key      string
	received time.Time

	id     messageID // of a message
	in     events.Event
	broken error // why it can't be decoded

	observation *observation // nil for a message
	published   bool         // something that it led to was published, or tried to be
	outlook     Outlook      // as its work began
	last        bool         // of those about its address, then

	mu       sync.Mutex
	delivery *delivery // the latest one of the message
}

// messageID tells messages apart, across lives of the log too.
type messageID struct {
	stored uint64
	at     int64 // when it was stored
}

type observation struct {
	cause    events.Cause
	fn       func(context.Context) ([]events.Draft, error)
	failures int
	trace    string // the traceparent of the attempt in work
}

// delivery is one delivery of a message.
type delivery struct {
	msg   jetstream.Msg
	count int    // 1 for the first
	epoch string // of the log that it came from
}

func (t *task) latest() *delivery {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.delivery
}

func (t *task) redelivered(d *delivery) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.delivery = d
}

// queues hold what waits and what is worked on, by key. A key is worked on by
// one at a time. They belong to one goroutine.
type queues struct {
	byKey map[string]*queue
	ready []string // keys with something to do and nobody at it, longest waiting first
	held  map[messageID]*task
	// counted is how many messages are held, those of one key beyond maxOfOne
	// left out.
	counted int
}

type queue struct {
	tasks    []*task // in the order of the log; observations where they came in
	busy     *task
	messages int // that are held of the key, the one at work included
}

func newQueues() *queues {
	return &queues{byKey: map[string]*queue{}, held: map[messageID]*task{}}
}

// add puts t into its queue and reports whether it was not there yet. A
// message that is there already only takes the new delivery over.
func (q *queues) add(t *task) bool {
	if t.observation == nil {
		if have, ok := q.held[t.id]; ok {
			have.redelivered(t.latest())
			return false
		}
		q.held[t.id] = t
	}
	line := q.byKey[t.key]
	if line == nil {
		line = &queue{}
		q.byKey[t.key] = line
	}
	if line.waits(t) {
		return false
	}
	if t.observation == nil {
		if line.messages++; line.messages <= maxOfOne {
			q.counted++
		}
	}
	line.insert(t)
	if line.busy == nil && len(line.tasks) == 1 {
		q.ready = append(q.ready, t.key)
	}
	return true
}

// waits reports whether the same observation is in line already.
func (l *queue) waits(t *task) bool {
	return t.observation != nil && t.observation.cause.ID != "" && slices.ContainsFunc(l.tasks, func(o *task) bool {
		return o.observation != nil && o.observation.cause.ID == t.observation.cause.ID && o.observation.cause.About == t.observation.cause.About
	})
}

func (l *queue) insert(t *task) {
	at := len(l.tasks)
	if t.observation == nil {
		if i := slices.IndexFunc(l.tasks, func(o *task) bool { return o.observation == nil && o.id.stored > t.id.stored }); i >= 0 {
			at = i
		}
	}
	l.tasks = slices.Insert(l.tasks, at, t)
}

// next takes the first task of the key that has waited longest; nil: there is
// none.
func (q *queues) next() *task {
	if len(q.ready) == 0 {
		return nil
	}
	return q.take(q.ready[0])
}

// take takes the first task of a key that is ready.
func (q *queues) take(key string) *task {
	i := slices.Index(q.ready, key)
	if i < 0 {
		return nil
	}
	q.ready = slices.Delete(q.ready, i, i+1)
	line := q.byKey[key]
	line.busy = line.tasks[0]
	line.tasks = slices.Delete(line.tasks, 0, 1)
	return line.busy
}

// done ends the work on t; again puts it back to the front of its queue.
func (q *queues) done(t *task, again bool) {
	line := q.byKey[t.key]
	line.busy = nil
	if again {
		line.tasks = slices.Insert(line.tasks, 0, t)
	} else if t.observation == nil {
		delete(q.held, t.id)
		if line.messages--; line.messages < maxOfOne {
			q.counted--
		}
	}
	if len(line.tasks) == 0 {
		delete(q.byKey, t.key)
		return
	}
	q.ready = append(q.ready, t.key)
}
