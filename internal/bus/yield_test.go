// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// spoken are words in the order in which they were said, and when.
type spoken struct {
	mu    sync.Mutex
	words []string
	times []time.Time
}

func (o *spoken) say(word string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.words, o.times = append(o.words, word), append(o.times, time.Now())
}

func (o *spoken) all() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.words)
}

// took is how long it was from the first word to the last.
func (o *spoken) took() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.times[len(o.times)-1].Sub(o.times[0])
}

// What yields goes on when all that waits has begun, the longest first; what
// waits behind it in its own queue doesn't begin. It waits for half a second at
// most: what a machine that stalls for as long does in another order says nothing.
func TestYieldLetsOthersBegin(t *testing.T) {
	s := bustest.Start(t)
	renderer := s.Connect(t, "renderer")
	bus.Yield(t.Context()) // which is nobody's
	want := []string{"begin 1", "begin 2", "begin 4", "end 1", "begin 3", "end 2", "end 4", "end 3"}
	bustest.Eventually(t, "all of it takes less than what yields waits for at most", func() bool {
		o := yieldInTurn(t, renderer)
		if o.took() >= bus.YieldMost {
			return false
		}
		if got := o.all(); !slices.Equal(got, want) {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
		return true
	})
}

// yieldInTurn has four tasks yield, two of which share a queue.
func yieldInTurn(t *testing.T, renderer *bus.Conn) *spoken {
	t.Helper()
	c := renderer.Consumer("renderer", ignore, bus.Options{Concurrency: 1})
	o := &spoken{}
	for _, task := range []struct{ queue, word string }{{"a", "1"}, {"b", "2"}, {"a", "3"}, {"c", "4"}} {
		c.Observe(task.queue, events.Cause{ID: task.word}, func(ctx context.Context) ([]events.Draft, error) {
			o.say("begin " + task.word)
			bus.Yield(ctx)
			o.say("end " + task.word)
			return nil, nil
		})
	}
	stop := bustest.Run(t, c)
	bustest.Eventually(t, "all to end", func() bool { return len(o.all()) == 8 })
	stop()
	return o
}

// What yields goes on after a while although others are at work: they may wait for
// it.
func TestYieldEnds(t *testing.T) {
	s := bustest.Start(t)
	renderer := s.Connect(t, "renderer")
	c := renderer.Consumer("renderer", ignore, bus.Options{Concurrency: 1})
	yielded, ended := make(chan struct{}), make(chan struct{})
	c.Observe("a", events.Cause{ID: "1"}, func(ctx context.Context) ([]events.Draft, error) {
		bus.Yield(ctx)
		close(yielded)
		return nil, nil
	})
	c.Observe("b", events.Cause{ID: "2"}, func(context.Context) ([]events.Draft, error) {
		defer close(ended)
		select {
		case <-yielded:
		case <-time.After(bustest.Timeout):
			t.Error("what has yielded waits for ever")
		}
		return nil, nil
	})
	bustest.Run(t, c)
	<-ended
}

// The end of the consumer ends what yields.
func TestYieldAtTheEnd(t *testing.T) {
	s := bustest.Start(t)
	renderer := s.Connect(t, "renderer")
	c := renderer.Consumer("renderer", ignore, bus.Options{Concurrency: 1})
	ctx, stop := context.WithCancel(t.Context())
	c.Observe("a", events.Cause{ID: "1"}, func(ctx context.Context) ([]events.Draft, error) {
		bus.Yield(ctx)
		return nil, nil
	})
	c.Observe("b", events.Cause{ID: "2"}, func(ctx context.Context) ([]events.Draft, error) {
		stop()
		<-ctx.Done()
		return nil, nil
	})
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(bustest.Timeout):
		t.Error("the consumer doesn't end")
	}
}
