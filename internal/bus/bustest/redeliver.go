// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/fault"
)

// Input is an event that a handler is to work on.
type Input struct {
	User  string // who publishes it: "watcher"
	Cause events.Cause
	Draft events.Draft
}

// Redelivery is a handler and what it is to work on.
type Redelivery struct {
	// User is the service under test, and its consumer: "renderer".
	User string
	// Inputs are published in order. The drafts may name blobs that Prepare
	// has written.
	Inputs  func(tb testing.TB, s *Server) []Input
	Options bus.Options
	// Handler makes a handler that remembers nothing of another one.
	Handler func(tb testing.TB, c *bus.Conn) bus.Handler
	// Same, where set, is what an event says: events that say the same are
	// equal to the comparison. Default: its id, which doesn't do for what is
	// observed outside of the bus: each bus is another epoch, and each
	// repository another history.
	Same func(events.Event) string
}

// errCrashed is what becomes of an input between publishing and acknowledging.
var errCrashed = errors.New("crashed between publishing and acknowledging")

// Redeliver runs a handler over its inputs in several ways, each on a bus of
// its own, and compares what they leave in the log, by id or by [Redelivery].Same:
//
//	once      each input once
//	crash     after each input's outputs are stored it is not acknowledged:
//	          a handler without memory is given it again
//	shuffled  the same, and the inputs come again in another order (seeded)
//	thrice    each input three times
func Redeliver(t *testing.T, r Redelivery) {
	t.Helper()
	want := r.run(t, "once", func(int, events.Event) (bool, time.Duration) { return false, 0 })
	for name, crash := range map[string]func(int, events.Event) (bool, time.Duration){
		"crash":    func(n int, _ events.Event) (bool, time.Duration) { return n == 1, time.Millisecond },
		"shuffled": func(n int, in events.Event) (bool, time.Duration) { return n == 1, shuffled(in) },
		"thrice":   func(n int, _ events.Event) (bool, time.Duration) { return n <= 2, time.Millisecond },
	} {
		if got := r.run(t, name, crash); !slices.Equal(got, want) {
			t.Errorf("%s: the log holds\n%q\nand after each input once\n%q", name, got, want)
		}
	}
}

// shuffled is a delay for an event, always the same.
func shuffled(in events.Event) time.Duration {
	return time.Duration(rand.New(rand.NewPCG(7, in.Stored)).IntN(150)) * time.Millisecond
}

// run returns what the log holds in the end, sorted. crash says of
// the nth delivery of an event whether it crashes, and when it comes again.
func (r Redelivery) run(t *testing.T, name string, crash func(n int, in events.Event) (bool, time.Duration)) []string {
	t.Helper()
	var ids, said []string
	t.Run(name, func(t *testing.T) {
		s := Start(t)
		for _, in := range r.Inputs(t, s) {
			if _, err := s.Connect(t, in.User).Publish(t.Context(), in.Cause, in.Draft); err != nil {
				t.Fatalf("publish input: %v", err)
			}
		}
		conn := s.Connect(t, r.User)
		var mu sync.Mutex
		deliveries := map[uint64]int{}
		stop := Run(t, conn.Consumer(r.User, func(ctx context.Context, in events.Event) ([]events.Draft, error) {
			drafts, err := r.Handler(t, conn)(ctx, in)
			mu.Lock()
			deliveries[in.Stored]++
			crashes, again := crash(deliveries[in.Stored], in)
			mu.Unlock()
			if err != nil || !crashes {
				return drafts, err
			}
			if _, err := conn.Publish(ctx, events.CauseOf(in), drafts...); err != nil {
				return nil, err
			}
			return nil, fault.RetryAfter(errCrashed, again)
		}, r.Options))
		s.Idle(t, r.User)
		stop()
		for _, e := range s.Events(t, "") {
			ids = append(ids, e.ID)
			if r.Same != nil {
				said = append(said, r.Same(e))
			}
		}
		slices.Sort(ids)
		slices.Sort(said)
		if n := len(ids); len(slices.Compact(slices.Clone(ids))) != n {
			t.Errorf("an id is in the log twice: %q", ids)
		}
	})
	if r.Same != nil {
		return said
	}
	return ids
}
