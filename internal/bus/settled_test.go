// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// outcomes notes what a consumer is told of its drafts.
type outcomes struct {
	mu     sync.Mutex
	drafts [][]events.Draft
	stored [][]events.Event
}

func (n *outcomes) settled(drafts []events.Draft, stored []events.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drafts, n.stored = append(n.drafts, drafts), append(n.stored, stored)
}

func (n *outcomes) times() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.stored)
}

// A consumer is told what its drafts have become in the log before the next
// input of the queue, and where it isn't sure what the log holds, that it isn't.
func TestSettled(t *testing.T) {
	s := bustest.Start(t)
	s.Backoff(t, "renderer", quick...)
	watcher, renderer := s.Connect(t, "watcher"), s.Connect(t, "renderer")
	in := publish(t, watcher, commit("shop", "a"), commit("shop", "b"), commit("quiet", "a"))
	// What an earlier attempt at the second one has left there says something else.
	earlier := failed("shop")
	earlier.Data.(*events.RenderFailed).Message = "line 4"
	if _, err := renderer.Publish(t.Context(), events.CauseOf(in[1]), earlier); err != nil {
		t.Fatal(err)
	}
	var n outcomes
	bustest.Run(t, renderer.Consumer("renderer", func(_ context.Context, e events.Event) ([]events.Draft, error) {
		if e.Application == "quiet" {
			return nil, nil
		}
		if e.ID == in[1].ID && n.times() != 1 {
			t.Errorf("told %d times before the second input", n.times())
		}
		return []events.Draft{failed("shop")}, nil
	}, bus.Options{Settled: n.settled}))
	s.Idle(t, "renderer")
	if n.times() != 2 {
		t.Fatalf("told %d times, want 2: of nothing that said nothing", n.times())
	}
	log := s.Events(t, "plumbline.v1.render.failed.local.shop")
	first := n.stored[0]
	if len(log) != 2 || len(first) != 1 || first[0].Stored != log[1].Stored || first[0].ID != log[1].ID || first[0].CausationID != in[0].ID {
		t.Errorf("told %+v\nof the log %+v", first, log)
	}
	if n.stored[1] != nil || len(n.drafts[1]) != 1 {
		t.Errorf("told %+v of what was there already", n.stored[1])
	}
}

// What could not be published is not told as stored, and what is published then
// is told like anything else. The handler knows that it is called again.
func TestSettledAfterAFailure(t *testing.T) {
	s := bustest.Start(t)
	s.Backoff(t, "renderer", quick...)
	publish(t, s.Connect(t, "watcher"), commit("shop", "a"))
	var n outcomes
	var again []bool
	bustest.Run(t, s.Connect(t, "renderer").Consumer("renderer", func(ctx context.Context, _ events.Event) ([]events.Draft, error) {
		again = append(again, bus.Redelivered(ctx))
		switch len(again) {
		case 1:
			return nil, errors.New("not yet")
		case 2: // refused by the server: it is another's
			return []events.Draft{failed("shop"), commit("shop", "b")}, nil
		}
		return []events.Draft{failed("shop")}, nil
	}, bus.Options{Settled: n.settled}))
	s.Idle(t, "renderer")
	if len(again) != 3 || again[0] || !again[1] || !again[2] {
		t.Errorf("the handler was told that it is called again: %t", again)
	}
	if n.times() != 2 || n.stored[0] != nil || n.stored[1] != nil {
		t.Errorf("told %+v", n.stored)
	}
}

// A connection's life ends with the connection and with the log.
func TestLife(t *testing.T) {
	s := bustest.Start(t)
	c := s.Connect(t, "renderer")
	ctx, cancel := context.WithTimeout(t.Context(), bustest.Timeout)
	defer cancel()
	life := func() bus.Life {
		t.Helper()
		l, err := c.Life(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := life()
	publish(t, s.Connect(t, "watcher"), commit("shop", "a"))
	log, err := c.Log(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if life() != first || first.Epoch() != log.Epoch {
		t.Errorf("%+v and %+v, in epoch %s", first, life(), log.Epoch)
	}
	s.Restart(t)
	// Nothing says that the loss of the connection has been noticed.
	second := first
	bustest.Eventually(t, "it has another life", func() bool { second = life(); return second != first })
	if second.Epoch() != log.Epoch {
		t.Errorf("%+v and then %+v", first, second)
	}
	store := s.Store()
	s.Down(t)
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	s.Up(t)
	third := second
	bustest.Eventually(t, "it has a third life", func() bool { third = life(); return third != second })
	if third.Epoch() == log.Epoch {
		t.Errorf("%+v and then %+v of another log", second, third)
	}
}
