// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

func TestOutputsAreStamped(t *testing.T) {
	s := bustest.Start(t)
	watcher, renderer := s.Connect(t, "watcher"), s.Connect(t, "renderer")
	l, err := watcher.Log(t.Context())
	if err != nil || l.Epoch == "" {
		t.Fatalf("Log = %+v, %v", l, err)
	}
	publish(t, watcher, commit("other", "0"))
	in := publish(t, watcher, commit("shop", "a"))[0]
	if in.Sequence != 2 || in.Stored != 2 || in.Epoch != l.Epoch || in.Source != "plumbline://watcher" || in.Traceparent == "" {
		t.Errorf("published %+v", in)
	}
	bustest.Run(t, renderer.Consumer("renderer", func(ctx context.Context, in events.Event) ([]events.Draft, error) {
		if d := time.Since(bus.Now(ctx)); d < 0 || d > time.Minute {
			t.Errorf("Now is %s ago", d)
		}
		if in.Application != "shop" {
			return nil, nil
		}
		return []events.Draft{failed("shop")}, nil
	}, bus.Options{}))
	s.Idle(t, "renderer")
	out := s.Events(t, "plumbline.v1.render.failed.>")
	if len(out) != 1 {
		t.Fatalf("%d outputs", len(out))
	}
	e := out[0]
	if e.Epoch != in.Epoch || e.Sequence != in.Sequence || e.CorrelationID != "shop@a" || e.CausationID != in.ID ||
		e.Source != "plumbline://renderer" || traceID(e.Traceparent) != traceID(in.Traceparent) ||
		e.StageStart.IsZero() || e.StageEnd.Before(e.StageStart) || e.Time.IsZero() {
		t.Errorf("output is %+v", e)
	}
	read, err := renderer.Last(t.Context(), in.Type.Subject(in.Address))
	if err != nil || read.Sequence != in.Sequence || read.Epoch != in.Epoch {
		t.Errorf("Last = %+v, %v", read, err)
	}
	newest, err := renderer.Newest(t.Context(), events.Event{}, in.Type.Subject(in.Address), e.Type.Subject(e.Address), "plumbline.v1.commit.observed.local.none")
	if err != nil || newest != (events.Order{Epoch: l.Epoch, Sequence: 2}) {
		t.Errorf("Newest = %+v, %v", newest, err)
	}
}

// A→B→A is three revisions, however quick; one tip seen twice is one.
func TestCausesMakeIdentity(t *testing.T) {
	s := bustest.Start(t)
	watcher := s.Connect(t, "watcher")
	for i, c := range []struct{ cause, commit string }{{"main:1", "A"}, {"main:2", "B"}, {"main:3", "A"}, {"main:3", "A"}} {
		if _, err := watcher.Publish(t.Context(), events.Cause{ID: c.cause}, commit("shop", c.commit)); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	var got string
	for _, e := range s.Events(t, "plumbline.v1.commit.observed.local.shop") {
		got += e.Data.(*events.CommitObserved).Revision.Commit
	}
	if got != "ABA" {
		t.Errorf("the log holds %s, want ABA", got)
	}
}

func divergence(verb, key string, filter string, last uint64) events.Draft {
	d := events.Divergence{Key: key, Kind: events.DivergenceStalled}
	draft := events.Draft{Address: events.Address{Cluster: "local", Application: "shop", Key: key}, Expect: &events.Expectation{Filter: filter, Last: last}}
	switch verb {
	case "detected":
		draft.Data = &events.DivergenceDetected{Divergence: d}
	case "resolved":
		draft.Data = &events.DivergenceResolved{Divergence: d, How: "healed"}
	}
	return draft
}

// The transitions of one divergence are compare-and-set over all its subjects.
func TestCompareAndSetOverAFilter(t *testing.T) {
	s := bustest.Start(t)
	auditor := s.Connect(t, "auditor-local")
	const filter = "plumbline.v1.divergence.*.local.shop.k1"
	try := func(cause string, d events.Draft) (events.Event, error) {
		ctx, cancel := context.WithTimeout(t.Context(), bustest.Timeout)
		defer cancel()
		got, err := auditor.Publish(ctx, events.Cause{ID: cause}, d)
		if err != nil {
			return events.Event{}, err
		}
		return got[0], nil
	}
	detected, err := try("1", divergence("detected", "k1", filter, 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := try("2", divergence("detected", "k1", filter, 0)); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("a second detection: %v, want a conflict", err)
	}
	if _, err := try("3", divergence("detected", "k2", "plumbline.v1.divergence.*.local.shop.k2", 0)); err != nil {
		t.Errorf("another key: %v", err)
	}
	resolved, err := try("4", divergence("resolved", "k1", filter, detected.Stored))
	if err != nil {
		t.Errorf("resolved: %v", err)
	}

	// Past the window for duplicates the same event is told by its id.
	js := s.JetStream(t)
	stream, err := js.Stream(t.Context(), natsconfig.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.Duplicates = 100 * time.Millisecond
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s.Restart(t) // the window is read from the store again, and is over
	again, err := try("4", divergence("resolved", "k1", filter, detected.Stored))
	if err != nil || again.Stored != resolved.Stored {
		t.Errorf("the same again: stored at %d, %v; want %d", again.Stored, err, resolved.Stored)
	}
	if n := len(s.Events(t, filter)); n != 2 {
		t.Errorf("%d events of k1, want 2", n)
	}
}

func TestRefusalsAreSaidAtOnce(t *testing.T) {
	s := bustest.Start(t)
	renderer := s.Connect(t, "renderer")
	applier := s.Connect(t, "applier-local")
	// One that is waited for takes as long each time; a loaded machine does now and
	// then.
	bustest.Eventually(t, "refusals are said at once", func() bool {
		start := time.Now()
		if _, err := renderer.Publish(t.Context(), events.Cause{ID: "x"}, commit("shop", "a")); !errors.Is(err, bus.ErrDenied) {
			t.Errorf("publish another's event: %v, want ErrDenied", err)
		}
		if _, err := renderer.Publish(t.Context(), events.Cause{ID: "x"}, commit("shop", "a")); err == nil || err.Error() != "publish to plumbline.v1.commit.observed.local.shop: the bus denies it" {
			t.Errorf("the refusal reads %q, want it said once", err)
		}
		if _, err := applier.Read(t.Context(), bus.Range{}, func(bus.Record) error { return nil }); !errors.Is(err, bus.ErrDenied) {
			t.Errorf("read the log: %v, want ErrDenied", err)
		}
		if err := renderer.Consumer("watcher", ignore, bus.Options{}).Run(t.Context()); !errors.Is(err, bus.ErrDenied) {
			t.Errorf("another's consumer: %v, want ErrDenied", err)
		}
		return time.Since(start) < 10*time.Second
	})
}

func TestEventsAreCapped(t *testing.T) {
	s := bustest.Start(t)
	d := failed("shop")
	d.Data.(*events.RenderFailed).Message = strings.Repeat("x", 64<<10)
	if _, err := s.Connect(t, "renderer").Publish(t.Context(), events.Cause{ID: "x"}, d); !errors.Is(err, events.ErrTooLarge) {
		t.Errorf("Publish = %v, want ErrTooLarge", err)
	}
}

// Publishing outlives the server's absence.
// What belongs together is published together: a draft that can't be an event
// doesn't leave those before it out alone.
func TestNothingIsPublishedBesideADraftThatCanNotBe(t *testing.T) {
	s := bustest.Start(t)
	large := failed("web")
	large.Data.(*events.RenderFailed).Message = strings.Repeat("x", 64<<10)
	for name, bad := range map[string]events.Draft{
		"too large": large,
		"invalid":   {Address: events.Address{Cluster: "local"}, Data: &events.RenderFailed{}},
	} {
		published, err := s.Connect(t, "renderer").Publish(t.Context(), events.Cause{ID: "x"}, failed("shop"), bad)
		if err == nil || len(published) > 0 {
			t.Errorf("%s: Publish = %d events, %v", name, len(published), err)
		}
	}
	if all := s.Events(t, ""); len(all) > 0 {
		t.Errorf("the log holds %d events", len(all))
	}
}

func TestPublishWaitsForTheServer(t *testing.T) {
	s := bustest.Start(t)
	watcher := s.Connect(t, "watcher")
	publish(t, watcher, commit("shop", "a"))
	s.Down(t)
	bustest.Eventually(t, "the connection is known to be lost", func() bool { return !watcher.Connected() })
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := watcher.Publish(short, events.Cause{ID: "never"}, commit("shop", "never")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Publish without a server = %v", err)
	}
	done := make(chan []events.Event)
	go func() { done <- publish(t, watcher, commit("shop", "b")) }()
	s.Up(t)
	if got := <-done; got[0].Stored != 2 {
		t.Errorf("stored at %d, want 2", got[0].Stored)
	}
}
