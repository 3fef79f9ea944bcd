// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"strconv"
	"sync"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// backlog is what is to be looked at of each application. What comes while
// something waits already is joined to it: a thousand events of a watch are one
// pass.
type backlog struct {
	consumer *bus.Consumer
	look     func(ctx context.Context, application string, w work) ([]events.Draft, error)

	mu    sync.Mutex
	waits map[string]*work // by application
	asked uint64
}

// queue puts work for one application behind what its queue has, or adds it to
// what waits there already.
func (b *backlog) queue(application string, cause events.Cause, w work) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if waiting := b.waits[application]; waiting != nil {
		waiting.add(w)
		return
	}
	b.waits[application] = &work{}
	b.waits[application].add(w)
	// One cause may ask twice, as a timer that was set again does, or an event
	// that is delivered again, while its first observation waits for another
	// try. The consumer would take the two for one and drop the second, which
	// nobody would then ever take from here.
	b.asked++
	cause.About = strconv.FormatUint(b.asked, 10)
	var taken *work
	b.consumer.Observe(application, cause, func(ctx context.Context) ([]events.Draft, error) {
		if taken == nil {
			taken = b.take(application)
		}
		defer taken.finish()
		return b.look(ctx, application, *taken)
	})
}

func (b *backlog) take(application string) *work {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.waits[application]
	if w == nil {
		w = &work{}
	}
	delete(b.waits, application)
	return w
}
