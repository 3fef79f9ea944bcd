// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/fault"
	"github.com/plumbline-dev/plumbline/internal/natsserver"
)

var errBroken = errors.New("broken")

// startPatient is a bus whose renderer is given nothing again within a test because
// the machine stalls: for where each delivery is counted.
func startPatient(t *testing.T) *bustest.Server {
	t.Helper()
	s := bustest.Start(t)
	s.Backoff(t, "renderer", time.Minute)
	return s
}

// An application's events are worked on one by one, in order; applications at
// once.
func TestQueues(t *testing.T) {
	s := startPatient(t)
	watcher := s.Connect(t, "watcher")
	const apps, each = 3, 10
	for i := range each {
		for a := range apps {
			publish(t, watcher, commit(fmt.Sprintf("app-%d", a), fmt.Sprint(i)))
		}
	}
	var mu sync.Mutex
	busy, seen := map[string]bool{}, map[string][]uint64{}
	together := make(chan struct{}) // closed when all applications are at work at once
	// The consumer delivers the last of each subject only to a consumer that
	// was made later; this one was there before.
	bustest.Run(t, s.Connect(t, "renderer").Consumer("renderer", func(_ context.Context, in events.Event) ([]events.Draft, error) {
		mu.Lock()
		if busy[in.Application] {
			t.Errorf("%s is worked on twice at once", in.Application)
		}
		busy[in.Application] = true
		seen[in.Application] = append(seen[in.Application], in.Sequence)
		n := 0
		for _, b := range busy {
			if b {
				n++
			}
		}
		if n == apps && len(seen[in.Application]) == 1 {
			close(together)
		}
		mu.Unlock()
		select {
		case <-together:
		case <-time.After(bustest.Timeout):
			t.Error("applications wait for each other")
		}
		mu.Lock()
		busy[in.Application] = false
		mu.Unlock()
		return nil, nil
	}, bus.Options{Concurrency: apps}))
	s.Idle(t, "renderer")
	for app, sequences := range seen {
		if len(sequences) != each || !slices.IsSorted(sequences) {
			t.Errorf("%s: %v", app, sequences)
		}
	}
}

// Failures come again after the delays of the list, are counted out, and leave
// the neighbours alone; a newer event lifts the quarantine.
func TestPoisonIsQuarantinedAndLifted(t *testing.T) {
	s := bustest.Start(t)
	s.Backoff(t, "renderer", quick...)
	watcher, renderer := s.Connect(t, "watcher"), s.Connect(t, "renderer")
	poison := publish(t, watcher, commit("bad", "1"))[0]
	var calls atomic.Int32
	var mu sync.Mutex
	good := map[string]bool{} // by id: where the machine is slow one may come again
	served := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(good)
	}
	bustest.Run(t, renderer.Consumer("renderer", func(_ context.Context, in events.Event) ([]events.Draft, error) {
		if in.ID == poison.ID {
			switch calls.Add(1) % 3 {
			case 0:
				panic("the handler's own fault")
			case 1: // in a goroutine of its own
				failed := make(chan error)
				go func() { failed <- bus.Guard(func() error { panic("the handler's own fault") })() }()
				return nil, fmt.Errorf("look: %w", <-failed)
			}
			return nil, errBroken
		}
		mu.Lock()
		defer mu.Unlock()
		good[in.ID] = true
		return nil, nil
	}, bus.Options{}))
	bustest.Eventually(t, "it is quarantined", func() bool { return len(rejected(t, s, events.ReasonQuarantined)) == 1 })
	for i := range 5 {
		publish(t, watcher, commit("good", fmt.Sprint(i)))
	}
	bustest.Eventually(t, "the neighbours are served", func() bool { return served() == 5 })
	n := calls.Load()
	bustest.Eventually(t, "it is tried again", func() bool { return calls.Load() > n+1 })
	r := rejected(t, s, events.ReasonQuarantined)
	if len(r) != 1 || r[0].Attempts != 3 || r[0].Stored != poison.Stored || r[0].Original == nil {
		t.Fatalf("quarantine said %d times: %+v", len(r), r)
	}
	original, err := s.Connect(t, "renderer").Blobs().Get(t.Context(), *r[0].Original)
	if err != nil || !strings.Contains(string(original), poison.ID) {
		t.Errorf("original = %q, %v", original, err)
	}
	publish(t, watcher, commit("bad", "2"))
	s.Idle(t, "renderer")
	if n := served(); n != 6 {
		t.Errorf("%d good ones", n)
	}
}

// The delays are those of the list: the server would add its own. Only what comes
// too early is told from a machine that is slow, so each step is one that a wrong
// delay undercuts: that of another delivery, of the failures counted, of the
// server's own reckoning, or of the list where the handler asks for another.
func TestBackoffIsTheConsumersList(t *testing.T) {
	s := bustest.Start(t)
	list := []time.Duration{2500 * time.Millisecond, 2 * time.Second, 3 * time.Second, 2 * time.Second}
	s.Backoff(t, "renderer", list...)
	publish(t, s.Connect(t, "watcher"), commit("bad", "1"))
	at := make(chan time.Time, 10)
	var calls atomic.Int32
	bustest.Run(t, s.Connect(t, "renderer").Consumer("renderer", func(context.Context, events.Event) ([]events.Draft, error) {
		at <- time.Now()
		switch calls.Add(1) {
		case 1:
			return nil, fault.RetryAfter(errBroken, 10*time.Millisecond)
		case 2, 3:
			return nil, errBroken
		case 4:
			return nil, fault.RetryAfter(errBroken, 2500*time.Millisecond)
		}
		return nil, nil
	}, bus.Options{}))
	last := <-at
	for i, want := range []time.Duration{10 * time.Millisecond, list[1], list[2], 2500 * time.Millisecond} {
		next := <-at
		if got := next.Sub(last); got < want-20*time.Millisecond || got > want+10*time.Second {
			t.Errorf("delay %d is %s, want %s", i, got, want)
		}
		last = next
	}
}

// An outage pauses everything, is counted against nothing, and ends by itself.
func TestOutagePausesAndCountsNothing(t *testing.T) {
	s := bustest.Start(t)
	// What is in hand must not come again because the machine is slow: each
	// input is to be done once.
	s.Backoff(t, "renderer", append([]time.Duration{10 * time.Second}, quick[1:]...)...)
	watcher := s.Connect(t, "watcher")
	var out atomic.Bool
	out.Store(true)
	var probes, done atomic.Int32
	bustest.Run(t, s.Connect(t, "renderer").Consumer("renderer", func(context.Context, events.Event) ([]events.Draft, error) {
		if out.Load() {
			probes.Add(1)
			return nil, fault.Outage("the test's dependency", errBroken)
		}
		done.Add(1)
		return nil, nil
	}, bus.Options{Concurrency: 2}))
	for i := range 20 {
		publish(t, watcher, commit(fmt.Sprintf("app-%d", i), "1"))
	}
	bustest.Eventually(t, "it probes", func() bool { return probes.Load() >= 4 })
	if n := probes.Load(); n > 8 {
		t.Errorf("%d calls in an outage", n)
	}
	out.Store(false)
	s.Idle(t, "renderer")
	if done.Load() != 20 {
		t.Errorf("%d done, want each once", done.Load())
	}
	if all := s.Events(t, "plumbline.v1.message.rejected.>"); len(all) > 0 {
		t.Errorf("an outage was held against inputs: %+v", all)
	}
}

func TestTerminal(t *testing.T) {
	s := startPatient(t)
	publish(t, s.Connect(t, "watcher"), commit("default", "1"), commit("own", "1"), commit("said", "1"))
	var calls atomic.Int32
	bustest.Run(t, s.Connect(t, "renderer").Consumer("renderer", func(context.Context, events.Event) ([]events.Draft, error) {
		calls.Add(1)
		return nil, fault.Terminal(events.ReasonSyntax, "Line 3 is no YAML.", errBroken)
	}, bus.Options{Failed: func(in events.Event, reason events.Reason, message string) []events.Draft {
		switch in.Application {
		case "default":
			return nil
		case "said": // before, by whatever else found it
			return []events.Draft{}
		}
		d := failed(in.Application)
		d.Data.(*events.RenderFailed).Reason, d.Data.(*events.RenderFailed).Message = reason, message
		return []events.Draft{d}
	}}))
	s.Idle(t, "renderer")
	r := rejected(t, s, events.ReasonSyntax)
	if len(r) != 1 || r[0].Message != "Line 3 is no YAML." || r[0].Service != "renderer" {
		t.Errorf("rejected: %+v", r)
	}
	own := s.Events(t, "plumbline.v1.render.failed.local.own")
	if len(own) != 1 || own[0].Data.(*events.RenderFailed).Message != "Line 3 is no YAML." || own[0].Sequence != 2 {
		t.Errorf("failed: %+v", own)
	}
	if calls.Load() != 3 {
		t.Errorf("%d calls, want one each", calls.Load())
	}
}

// What can't be taken becomes an event and is taken off, whatever it is.
func TestUndecodableIsRejectedNotDropped(t *testing.T) {
	s := startPatient(t)
	const good, other = "plumbline.v1.commit.observed.local.shop", "plumbline.v1.commit.observed.local.till"
	watcher := s.Connect(t, "watcher")
	publish(t, watcher, commit("shop", "1"))
	body := ""
	if _, err := s.Connect(t, "reader").Read(t.Context(), bus.Range{Filter: good}, func(r bus.Record) error {
		body = string(r.Body)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	nc := s.Dial(t, "watcher")
	structured := nats.Header{"Content-Type": {events.ContentType}}
	for _, m := range []*nats.Msg{
		{Subject: good, Data: []byte("not an event")},
		{Subject: other, Header: structured, Data: []byte(body)},
		{Subject: good, Header: structured, Data: []byte(strings.ReplaceAll(body, "observed.v1", "observed.v2"))},
	} {
		if _, err := nc.RequestMsg(m, bustest.Timeout); err != nil {
			t.Fatal(err)
		}
	}
	var calls atomic.Int32
	bustest.Run(t, s.Connect(t, "renderer").Consumer("renderer", func(context.Context, events.Event) ([]events.Draft, error) {
		calls.Add(1)
		return nil, nil
	}, bus.Options{}))
	s.Idle(t, "renderer")
	if calls.Load() != 1 {
		t.Errorf("%d calls, want one", calls.Load())
	}
	for reason, want := range map[events.Reason]string{
		events.ReasonBadEvent: "not an event", events.ReasonWrongSubject: body, events.ReasonVersion: strings.ReplaceAll(body, "observed.v1", "observed.v2"),
	} {
		r := rejected(t, s, reason)
		if len(r) != 1 {
			t.Errorf("%s: %d events", reason, len(r))
			continue
		}
		original, err := s.Connect(t, "renderer").Blobs().Get(t.Context(), *r[0].Original)
		if err != nil || string(original) != want {
			t.Errorf("%s: original is %q, %v", reason, original, err)
		}
	}
}

// What a consumer skips is taken off unread, whatever it is; what comes again is
// the handler's.
func TestSkip(t *testing.T) {
	s := bustest.Start(t)
	s.Backoff(t, "renderer", quick...)
	watcher := s.Connect(t, "watcher")
	publish(t, watcher, commit("shop", "1"))
	const bad = "plumbline.v1.commit.observed.local.shop"
	if _, err := s.Dial(t, "watcher").RequestMsg(&nats.Msg{Subject: bad, Data: []byte("not an event")}, bustest.Timeout); err != nil {
		t.Fatal(err)
	}
	publish(t, watcher, commit("till", "1"))
	var skipping atomic.Bool
	var again, calls atomic.Int32
	bustest.Run(t, s.Connect(t, "renderer").Consumer("renderer", func(ctx context.Context, in events.Event) ([]events.Draft, error) {
		if in.Application != "till" {
			t.Errorf("%s is given to the handler", in.Application)
		}
		if calls.Add(1) == 1 {
			skipping.Store(true)
			return nil, errBroken
		}
		again.Add(1)
		return nil, nil
	}, bus.Options{Skip: func(kind *events.Type, a events.Address) bool {
		return kind == events.TypeOf(&events.CommitObserved{}) && (a.Application == "shop" || skipping.Load())
	}}))
	s.Idle(t, "renderer")
	// More than once where the machine is slow to say that it is seen to.
	bustest.Eventually(t, "what had been begun comes again", func() bool { return again.Load() > 0 })
	s.Idle(t, "renderer")
	if n := len(s.Events(t, "plumbline.v1.message.rejected.>")); n != 0 {
		t.Errorf("%d rejections of what was not read", n)
	}
}

// What is not done when the consumer stops is given back at once, and counted
// against nobody.
func TestStopGivesBackAtOnce(t *testing.T) {
	s := bustest.Start(t)
	s.Backoff(t, "renderer", time.Minute)
	publish(t, s.Connect(t, "watcher"), commit("a", "1"), commit("a", "2"), commit("b", "1"))
	renderer := s.Connect(t, "renderer")
	for range 4 {
		began := make(chan struct{}, 10)
		stop := bustest.Run(t, renderer.Consumer("renderer", func(ctx context.Context, _ events.Event) ([]events.Draft, error) {
			began <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}, bus.Options{}))
		<-began
		<-began
		stop()
	}
	bustest.Run(t, renderer.Consumer("renderer", ignore, bus.Options{}))
	s.Idle(t, "renderer")
	if all := s.Events(t, "plumbline.v1.message.rejected.>"); len(all) > 0 {
		t.Errorf("stopping was held against inputs: %+v", all)
	}
}

// What has come and was not begun when the consumer stops is given back too:
// the next one is given it at once.
func TestStopGivesBackWhatHasJustCome(t *testing.T) {
	s := bustest.Start(t)
	s.Backoff(t, "renderer", time.Minute)
	watcher, renderer := s.Connect(t, "watcher"), s.Connect(t, "renderer")
	const n = 10
	for i := range n {
		publish(t, watcher, commit(fmt.Sprint("app-", i), "1"))
	}
	js, err := jetstream.New(s.Dial(t, "renderer"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := js.Consumer(t.Context(), natsconfig.StreamEvents, "renderer")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := source.FetchNoWait(n)
	if err != nil {
		t.Fatal(err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := bus.HandOn(stopped, renderer.Consumer("renderer", ignore, bus.Options{}), batch); !errors.Is(err, context.Canceled) {
		t.Fatalf("HandOn = %v", err)
	}
	var got atomic.Int32
	bustest.Run(t, renderer.Consumer("renderer", func(context.Context, events.Event) ([]events.Draft, error) {
		got.Add(1)
		return nil, nil
	}, bus.Options{}))
	bustest.Eventually(t, "they have come again", func() bool { return got.Load() == n })
}

// A handler that takes long keeps its message, and those that wait behind it:
// nobody else is given them.
func TestHeartbeat(t *testing.T) {
	s := bustest.Start(t)
	s.Backoff(t, "renderer", 3*time.Second) // a beat each second: one may be late by two
	publish(t, s.Connect(t, "watcher"), commit("a", "1"), commit("a", "2"))
	var calls atomic.Int32
	for range 2 {
		bustest.Run(t, s.Connect(t, "renderer").Consumer("renderer", func(ctx context.Context, _ events.Event) ([]events.Draft, error) {
			if calls.Add(1) > 1 {
				return nil, nil
			}
			select {
			case <-time.After(7 * time.Second):
			case <-ctx.Done():
			}
			return nil, nil
		}, bus.Options{}))
	}
	s.Idle(t, "renderer")
	if calls.Load() != 2 {
		t.Errorf("%d calls, want 2", calls.Load())
	}
}

func TestConsumerOutlivesTheServer(t *testing.T) {
	s := bustest.Start(t)
	watcher := s.Connect(t, "watcher")
	got := make(chan string, 10)
	bustest.Run(t, s.Connect(t, "renderer").Consumer("renderer", func(_ context.Context, in events.Event) ([]events.Draft, error) {
		got <- in.Data.(*events.CommitObserved).Revision.Commit
		return []events.Draft{failed(in.Application)}, nil
	}, bus.Options{}))
	for _, id := range []string{"1", "2", "3"} {
		publish(t, watcher, commit("shop", id))
		if c := <-got; c != id {
			t.Errorf("got %s, want %s", c, id)
		}
		s.Idle(t, "renderer")
		s.Restart(t)
	}
	if n := len(s.Events(t, "plumbline.v1.render.failed.>")); n != 3 {
		t.Errorf("%d outputs, want 3", n)
	}
}

// A message of a log that is gone is not acknowledged in the new one, where
// its place may be another event's.
func TestStaleMessagesAreNotAcknowledged(t *testing.T) {
	s := bustest.Start(t)
	s.Backoff(t, "renderer", 500*time.Millisecond)
	publish(t, s.Connect(t, "watcher"), commit("shop", "1"))
	var calls atomic.Int32
	js := s.JetStream(t)
	bustest.Run(t, s.Connect(t, "renderer").Consumer("renderer", func(ctx context.Context, _ events.Event) ([]events.Draft, error) {
		if calls.Add(1) > 1 {
			return nil, nil
		}
		stream, err := js.Stream(ctx, natsconfig.StreamEvents)
		if err != nil {
			return nil, err
		}
		config := stream.CachedInfo().Config
		config.Metadata["plumbline-epoch"] = "another"
		if _, err := js.UpdateStream(ctx, config); err != nil {
			return nil, err
		}
		<-time.After(1100 * time.Millisecond) // what is known of the epoch is a second old at most
		return nil, nil
	}, bus.Options{}))
	bustest.Eventually(t, "it comes again", func() bool { return calls.Load() == 2 })
	s.Idle(t, "renderer")
}

func TestObserve(t *testing.T) {
	s := bustest.Start(t)
	s.Backoff(t, "auditor-local", quick...)
	c := s.Connect(t, "auditor-local").Consumer("auditor-local", ignore, bus.Options{})
	var busy, calls atomic.Int32
	observe := func(cause string, fail error) {
		var tried atomic.Int32
		c.Observe("shop", events.Cause{ID: cause}, func(context.Context) ([]events.Draft, error) {
			if busy.Add(1) > 1 {
				t.Error("two at once in one queue")
			}
			defer busy.Add(-1)
			calls.Add(1)
			if fail != nil && tried.Add(1) <= 2 {
				return nil, fail
			}
			return []events.Draft{divergence("detected", "k-"+cause, "", 0)}, nil
		})
	}
	observe("plain", nil)
	observe("plain", nil) // waits already
	observe("failing", errBroken)
	observe("out", fault.Outage("the test's dependency", errBroken))
	observe("later", fault.RetryAfter(errBroken, time.Millisecond))
	observe("at-fault", fault.Terminal(events.ReasonRefused, "No.", nil))
	bustest.Run(t, c)
	bustest.Eventually(t, "all observations are published", func() bool { return len(s.Events(t, "plumbline.v1.divergence.detected.>")) == 4 })
	bustest.Eventually(t, "the refused one is said", func() bool { return len(rejected(t, s, events.ReasonRefused)) == 1 })
	if n := calls.Load(); n != 1+3+3+3+1 {
		t.Errorf("%d calls", n)
	}
}

// The server will change how acknowledgements are addressed: both forms are
// granted.
func TestAcknowledgementsOfTheNextServer(t *testing.T) {
	s := bustest.StartWith(t, natsserver.Options{Features: map[string]bool{"js_ack_fc_v2": true}})
	publish(t, s.Connect(t, "watcher"), commit("shop", "1"))
	var form atomic.Value
	nc := s.Dial(t, "renderer")
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { form.Store(err.Error()) })
	bustest.Run(t, s.Connect(t, "renderer").Consumer("renderer", ignore, bus.Options{}))
	s.Idle(t, "renderer")
	if form.Load() != nil {
		t.Error(form.Load())
	}
}

func TestRedeliveryLeavesTheSameLog(t *testing.T) {
	bustest.Redeliver(t, bustest.Redelivery{
		User: "renderer",
		Inputs: func(testing.TB, *bustest.Server) []bustest.Input {
			var all []bustest.Input
			for i := range 12 {
				app := fmt.Sprintf("app-%d", i%3)
				all = append(all, bustest.Input{User: "watcher", Cause: events.Cause{ID: fmt.Sprint(i)}, Draft: commit(app, fmt.Sprint(i))})
			}
			return all
		},
		Handler: func(testing.TB, *bus.Conn) bus.Handler {
			return func(_ context.Context, in events.Event) ([]events.Draft, error) {
				a, b := failed(in.Application), failed(in.Application)
				b.Variant = "second"
				return []events.Draft{a, b}, nil
			}
		},
	})
}

// Inputs that wait for their next try take no place from those that don't,
// however many they are: a fleet may have thousands of applications that fail.
func TestWaitingInputsLeaveRoom(t *testing.T) {
	s := bustest.Start(t)
	watcher := s.Connect(t, "watcher")
	const waiting = 1001 // more than the server lets be unacknowledged if not told otherwise
	var group sync.WaitGroup
	for part := range 7 {
		group.Go(func() {
			for i := range waiting / 7 {
				publish(t, watcher, commit(fmt.Sprintf("bad-%d-%d", part, i), "1"))
			}
		})
	}
	group.Wait()
	var put atomic.Int32
	good := make(chan struct{})
	var once sync.Once // it may come again
	bustest.Run(t, s.Connect(t, "renderer").Consumer("renderer", func(_ context.Context, in events.Event) ([]events.Draft, error) {
		if in.Application == "good" {
			once.Do(func() { close(good) })
			return nil, nil
		}
		put.Add(1)
		return nil, fault.RetryAfter(errBroken, time.Hour)
	}, bus.Options{Concurrency: 16}))
	bustest.Eventually(t, "all the others wait", func() bool { return put.Load() >= 1000 })
	publish(t, watcher, commit("good", "1"))
	select {
	case <-good:
	case <-time.After(bustest.Timeout):
		t.Error("those that wait take the place of one that doesn't")
	}
}

// However much of one application waits, the others are served, and its own
// order is kept.
func TestOneApplicationDoesNotFillTheHands(t *testing.T) {
	s := startPatient(t)
	watcher := s.Connect(t, "watcher")
	const waiting = 200 // more than a consumer has in hand of many
	for i := range waiting {
		publish(t, watcher, commit("busy", fmt.Sprint(i)))
	}
	publish(t, watcher, commit("other", "1"))
	other, release := make(chan struct{}), make(chan struct{})
	var order []uint64 // of one queue: written by one at a time
	bustest.Run(t, s.Connect(t, "renderer").Consumer("renderer", func(ctx context.Context, in events.Event) ([]events.Draft, error) {
		if in.Application == "other" {
			close(other)
			return nil, nil
		}
		select {
		case <-release:
		case <-ctx.Done():
		}
		order = append(order, in.Stored)
		return nil, ctx.Err()
	}, bus.Options{}))
	select {
	case <-other:
	case <-time.After(bustest.Timeout):
		t.Error("what waits of one application starves the others")
	}
	close(release)
	s.Idle(t, "renderer")
	if len(order) != waiting || !slices.IsSorted(order) {
		t.Errorf("%d were worked on, in this order: %v", len(order), order)
	}
}

// A failure is said even where the service's own event about it can't be
// published.
func TestFailureThatCanNotBePublished(t *testing.T) {
	s := bustest.Start(t)
	publish(t, s.Connect(t, "watcher"), commit("shop", "1"))
	bustest.Run(t, s.Connect(t, "renderer").Consumer("renderer", func(context.Context, events.Event) ([]events.Draft, error) {
		return nil, fault.Terminal(events.ReasonRefused, "No.", nil)
	}, bus.Options{Failed: func(in events.Event, _ events.Reason, _ string) []events.Draft {
		d := failed(in.Application)
		d.Data.(*events.RenderFailed).Message = strings.Repeat("x", events.MaxSize)
		return []events.Draft{d}
	}}))
	s.Idle(t, "renderer")
	if n := len(rejected(t, s, events.ReasonRefused)); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
}

// What a consumer asks for while the server is away leaves nothing behind in
// the client, and the next server is asked at once: it was no failure of the
// consumer's.
func TestOutagesLeaveNothingBehind(t *testing.T) {
	s := bustest.Start(t)
	watcher, renderer := s.Connect(t, "watcher"), s.Connect(t, "renderer")
	got := make(chan string, 10)
	bustest.Run(t, renderer.Consumer("renderer", func(_ context.Context, in events.Event) ([]events.Draft, error) {
		got <- in.Application
		return nil, nil
	}, bus.Options{}))
	subscriptions := 0
	js := s.JetStream(t)
	for n := range 3 {
		publish(t, watcher, commit("shop", fmt.Sprint(n)))
		<-got
		s.Idle(t, "renderer")
		// Between two pulls there is one subscription less, and for a moment there
		// may be that of the last pull beside that of the next.
		now := 0
		bustest.Eventually(t, fmt.Sprintf("a pull stands after %d outages, with no more subscriptions than at first", n), func() bool {
			c, err := js.Consumer(t.Context(), natsconfig.StreamEvents, "renderer")
			now = bus.Subscriptions(renderer)
			return err == nil && c.CachedInfo().NumWaiting > 0 && (n == 0 || now <= subscriptions)
		})
		if n == 0 {
			subscriptions = now
		}
		s.Down(t)
		bustest.Eventually(t, "the renderer has lost the bus", func() bool { return !renderer.Connected() })
		watched := time.Now()
		bustest.Eventually(t, "it has had the time to ask several times", func() bool { return time.Since(watched) > 500*time.Millisecond })
		s.Up(t)
	}
}
