// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// posts are n revisions, each of an application of its own, that none went
// before.
func posts(n int, id string) []bus.Post {
	all := make([]bus.Post, n)
	for i := range all {
		d := commit(fmt.Sprintf("%s%03d", id, n-i), id)
		d.Expect = &events.Expectation{Last: 0}
		all[i] = bus.Post{Cause: events.Cause{ID: "tip/" + d.Correlation}, Draft: d}
	}
	return all
}

func each(tb testing.TB, c *bus.Conn, posts []bus.Post) []bus.Posted {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), bustest.Timeout)
	defer cancel()
	return c.PublishEach(ctx, posts)
}

func TestPostsLieInTheirOrder(t *testing.T) {
	s := bustest.Start(t)
	watcher := s.Connect(t, "watcher")
	taken := publish(t, watcher, commit("a007", "before"))[0]
	all := posts(40, "a")
	all[3].Draft.Data.(*events.CommitObserved).Declaration.Source.Path = strings.Repeat("x", 64<<10)
	all[5].Draft.Data = &events.CommitObserved{} // of no application
	all[8].Cause.Traceparent = "00-00000000000000000000000000000001-0000000000000001-01"
	got := each(t, watcher, all)
	var want []uint64
	for i, p := range got {
		switch {
		case i == 3 && errors.Is(p.Err, events.ErrTooLarge), i == 5 && errors.Is(p.Err, events.ErrInvalid), i == 33 && errors.Is(p.Err, bus.ErrConflict):
			continue
		case p.Err != nil, p.Event.Sequence != p.Event.Stored, p.Event.Application != all[i].Draft.Application:
			t.Fatalf("%d: %+v", i, p)
		}
		want = append(want, p.Event.Stored)
	}
	if len(want) != 37 || want[0] != taken.Stored+1 || !slices.IsSorted(want) || want[36] != want[0]+36 {
		t.Errorf("stored at %d, want 37 in a row", want)
	}
	if traceID(got[8].Event.Traceparent) != "00000000000000000000000000000001" || traceID(got[9].Event.Traceparent) == traceID(got[10].Event.Traceparent) {
		t.Errorf("traces %s, %s, %s", got[8].Event.Traceparent, got[9].Event.Traceparent, got[10].Event.Traceparent)
	}
	for i, p := range each(t, watcher, all) { // what is there already is found
		if (p.Err == nil) != (got[i].Err == nil) || p.Event.Stored != got[i].Event.Stored {
			t.Errorf("%d again: %d, %v; first %d, %v", i, p.Event.Stored, p.Err, got[i].Event.Stored, got[i].Err)
		}
	}
	if n := len(s.Events(t, "")); n != 38 {
		t.Errorf("%d events, want 38", n)
	}
}

// What is under way when the server goes is sent again, each on its own, and is
// there once.
func TestPostsOutliveTheServer(t *testing.T) {
	s := bustest.Start(t)
	watcher := s.Connect(t, "watcher")
	var all []bus.Post
	var got []bus.Posted
	for round := 0; ; round++ { // until the server goes before all is stored
		if round == 5 {
			t.Fatal("all was stored before the server was down, five times")
		}
		more := posts(1000, fmt.Sprint("r", round))
		outcome, cut := overARestart(t, s, watcher, more)
		all, got = append(all, more...), append(got, outcome...)
		if cut {
			break
		}
	}
	stored := map[string]uint64{}
	for i, p := range got {
		if p.Err != nil {
			t.Fatalf("%d: %v", i, p.Err)
		}
		stored[p.Event.ID] = p.Event.Stored
	}
	lie := s.Events(t, "")
	if len(lie) != len(all) || len(stored) != len(all) {
		t.Errorf("%d events, said of %d, want %d", len(lie), len(stored), len(all))
	}
	for _, e := range lie {
		if stored[e.ID] != e.Stored {
			t.Errorf("%s lies at %d, and is said to lie at %d", e.ID, e.Stored, stored[e.ID])
		}
	}
}

// overARestart publishes posts while the server restarts, and reports whether
// some of them were not stored before.
func overARestart(t *testing.T, s *bustest.Server, c *bus.Conn, posts []bus.Post) (got []bus.Posted, cut bool) {
	t.Helper()
	heard := make(chan struct{}, len(posts))
	reader := s.Dial(t, "reader")
	if _, err := reader.Subscribe("plumbline.v1.commit.observed.>", func(*nats.Msg) { heard <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	if err := reader.Flush(); err != nil {
		t.Fatal(err)
	}
	done := make(chan []bus.Posted, 1)
	go func() { done <- each(t, c, posts) }()
	for range 20 {
		select {
		case <-heard:
		case <-time.After(bustest.Timeout):
			t.Fatal("nothing is stored")
		}
	}
	s.Down(t)
	reader.Close()
	cut = len(heard) < len(posts)-20
	s.Up(t)
	return <-done, cut
}

func TestPostsThatAreDenied(t *testing.T) {
	s := bustest.Start(t)
	renderer := s.Connect(t, "renderer")
	// A refusal that is waited for takes five seconds each time; a loaded machine
	// takes as long now and then.
	bustest.Eventually(t, "refusals are not waited for", func() bool {
		start := time.Now()
		for i, p := range each(t, renderer, posts(3, "a")) {
			if !errors.Is(p.Err, bus.ErrDenied) {
				t.Errorf("%d: %v, want ErrDenied", i, p.Err)
			}
		}
		return time.Since(start) < 4*time.Second
	})
}

// What waits for the server waits no longer than its context: before anything is
// sent, where there is none, and after it, where it has no room.
func TestPostsWaitNoLongerThanTheirContext(t *testing.T) {
	for name, hinder := range map[string]func(*testing.T, *bustest.Server){
		"no server": func(t *testing.T, s *bustest.Server) { s.Down(t) },
		"no room":   leaveNoRoom,
	} {
		t.Run(name, func(t *testing.T) {
			s := bustest.Start(t)
			watcher := s.Connect(t, "watcher")
			publish(t, watcher, commit("shop", "a"))
			hinder(t, s)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			done := make(chan []bus.Posted, 1)
			go func() { done <- watcher.PublishEach(ctx, posts(3, "a")) }()
			select {
			case got := <-done:
				for i, p := range got {
					if !errors.Is(p.Err, context.DeadlineExceeded) {
						t.Errorf("%d: %v", i, p.Err)
					}
				}
			case <-time.After(bustest.Timeout):
				t.Error("they wait on")
			}
		})
	}
}

// leaveNoRoom leaves the log no room: the server says so of each message.
func leaveNoRoom(t *testing.T, s *bustest.Server) {
	t.Helper()
	js := s.JetStream(t)
	log, err := js.Stream(t.Context(), natsconfig.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	config := log.CachedInfo().Config
	config.MaxBytes, config.Discard = int64(log.CachedInfo().State.Bytes), jetstream.DiscardNew
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}
