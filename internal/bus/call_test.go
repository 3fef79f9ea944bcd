// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/fault"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// asked is what handlers were told of their calls.
type asked struct {
	mu    sync.Mutex
	calls []told
}

type told struct {
	commit  string
	tenure  bus.Tenure
	known   bool
	outlook bus.Outlook
	stored  int
}

// handler takes note of each call, and leads to a failure each; gate, where set,
// is waited for.
func (a *asked) handler(gate <-chan struct{}) bus.Handler {
	return func(ctx context.Context, in events.Event) ([]events.Draft, error) {
		t := told{commit: in.Data.(*events.CommitObserved).Revision.Commit, outlook: bus.OutlookOf(ctx)}
		t.tenure, t.known = bus.TenureOf(ctx)
		a.mu.Lock()
		n := len(a.calls)
		a.calls = append(a.calls, t)
		a.mu.Unlock()
		if gate != nil {
			<-gate
		}
		bus.Stored(ctx, func(out []events.Event) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.calls[n].stored += len(out)
		})
		return []events.Draft{failed(in.Application)}, nil
	}
}

// after waits for n calls whose outputs are stored, or were before.
func (a *asked) after(t *testing.T, s *bustest.Server, n int) []told {
	t.Helper()
	bustest.Eventually(t, "the calls of a handler", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.calls) >= n
	})
	s.Idle(t, "renderer")
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.calls) != n {
		t.Fatalf("%d calls, want %d", len(a.calls), n)
	}
	return append([]told(nil), a.calls...)
}

// counted is a connection, and how many inputs its consumers hold. What the client
// has read says less: it is placed into its queue a moment later.
func counted(t *testing.T, s *bustest.Server, user string) (conn *bus.Conn, held func() int64) {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	conn = connect(t, s, user, telemetry.Providers{Meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	return conn, func() (n int64) {
		var data metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &data); err != nil {
			t.Fatal(err)
		}
		for _, scope := range data.ScopeMetrics {
			for _, m := range scope.Metrics {
				if g, ok := m.Data.(metricdata.Gauge[int64]); ok && m.Name == "plumbline.bus.held" {
					for _, p := range g.DataPoints {
						n += p.Value
					}
				}
			}
		}
		return n
	}
}

func TestOutlook(t *testing.T) {
	s := startPatient(t)
	watcher := s.Connect(t, "watcher")
	renderer, held := counted(t, s, "renderer")
	gate := make(chan struct{})
	var a asked
	bustest.Run(t, renderer.Consumer("renderer", a.handler(gate), bus.Options{Key: func(events.Event) string { return "one" }}))
	publish(t, watcher, commit("shop", "1"))
	bustest.Eventually(t, "the first is at work", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.calls) == 1
	})
	publish(t, watcher, commit("shop", "2"), commit("web", "1"), commit("shop", "3"))
	bustest.Eventually(t, "all are in hand", func() bool { return held() == 4 })
	close(gate)
	var got []bus.Outlook
	for _, c := range a.after(t, s, 4) {
		got = append(got, c.outlook)
	}
	if got[1] != bus.OutlookSuperseded || got[2] != bus.OutlookNewest || got[3] != bus.OutlookNewest || got[0] == bus.OutlookSuperseded {
		t.Errorf("outlooks %v", got)
	}
}

func TestTheLatestAboutAnAddress(t *testing.T) {
	s := startPatient(t)
	watcher, operator := s.Connect(t, "watcher"), s.Connect(t, "operator")
	renderer, held := counted(t, s, "renderer")
	gate, begun := make(chan struct{}), make(chan struct{}, 9)
	type said struct {
		kind, app string
		outlook   bus.Outlook
		latest    bool
	}
	var mu sync.Mutex
	var got []said
	handler := func(ctx context.Context, in events.Event) ([]events.Draft, error) {
		mu.Lock()
		got = append(got, said{in.Type.Name(), in.Application, bus.OutlookOf(ctx), bus.Latest(ctx)})
		mu.Unlock()
		begun <- struct{}{}
		<-gate
		return nil, nil
	}
	bustest.Run(t, renderer.Consumer("renderer", handler, bus.Options{Key: func(events.Event) string { return "one" }}))
	publish(t, watcher, commit("shop", "1"))
	<-begun
	publish(t, watcher, commit("shop", "2"), commit("web", "1"))
	publish(t, operator, events.Draft{Data: &events.SyncRequested{By: "test"}, Address: events.Address{Cluster: "local", Application: "shop"}})
	bustest.Eventually(t, "all are in hand", func() bool { return held() == 4 })
	close(gate)
	s.Idle(t, "renderer")
	want := []said{
		{"commit.observed", "shop", bus.OutlookNewest, false}, // the sync waits
		{"commit.observed", "web", bus.OutlookNewest, true},
		{"sync.requested", "shop", bus.OutlookNewest, true},
	}
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 4 || !slices.Equal(got[1:], want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTenure(t *testing.T) {
	s := startPatient(t)
	watcher, renderer := s.Connect(t, "watcher"), s.Connect(t, "renderer")
	var a asked
	bustest.Run(t, renderer.Consumer("renderer", a.handler(nil), bus.Options{}))
	publish(t, watcher, commit("shop", "1"))
	a.after(t, s, 1)
	publish(t, watcher, commit("shop", "2"))
	calls := a.after(t, s, 2)
	if !calls[0].known || calls[0].tenure != calls[1].tenure || calls[0].stored != 1 {
		t.Errorf("calls %+v: want one tenure, and to be told of what is stored", calls)
	}

	// Another process pulls from the same consumer. Its pull is served when that
	// of the first is used up.
	js, err := jetstream.New(s.Dial(t, "renderer"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := js.Consumer(t.Context(), natsconfig.StreamEvents, "renderer")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := source.Fetch(1, jetstream.FetchMaxWait(bustest.Timeout))
	if err != nil {
		t.Fatal(err)
	}
	const more = 150
	each(t, watcher, posts(more, "many"))
	for m := range batch.Messages() {
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	calls = a.after(t, s, 2+more-1)
	publish(t, watcher, commit("shop", "4"))
	calls = a.after(t, s, len(calls)+1)
	if last := calls[len(calls)-1]; !last.known || last.tenure == calls[1].tenure {
		t.Errorf("a delivery went elsewhere: %+v", last)
	}
	before := len(calls)

	s.Restart(t)
	bustest.Eventually(t, "the bus is back", func() bool { return watcher.Connected() && renderer.Connected() })
	publish(t, watcher, commit("shop", "5"))
	after := a.after(t, s, before+1)
	if last := after[before]; !last.known || last.tenure == after[before-1].tenure {
		t.Errorf("the connection was lost meanwhile: %+v", last)
	}
}

// What comes again, and what is there already, says nothing of what is in the log.
func TestNothingIsKnownOfWhatComesAgain(t *testing.T) {
	s := bustest.Start(t)
	s.Backoff(t, "renderer", quick...)
	watcher, renderer := s.Connect(t, "watcher"), s.Connect(t, "renderer")
	in := publish(t, watcher, commit("shop", "1"))[0]
	if _, err := renderer.Publish(t.Context(), events.CauseOf(in), failed("shop")); err != nil {
		t.Fatal(err)
	}
	var a asked
	inner := a.handler(nil)
	first := true
	bustest.Run(t, renderer.Consumer("renderer", func(ctx context.Context, in events.Event) ([]events.Draft, error) {
		drafts, err := inner(ctx, in)
		if first {
			first = false
			return nil, fault.RetryAfter(errors.New("not now"), time.Millisecond)
		}
		return drafts, err
	}, bus.Options{Concurrency: 1}))
	calls := a.after(t, s, 2)
	if !calls[0].known || calls[1].known || calls[1].outlook != bus.OutlookUnknown {
		t.Errorf("calls %+v: want a tenure for the first alone", calls)
	}
	if calls[0].stored != 0 || calls[1].stored != 0 {
		t.Errorf("calls %+v: told of what failed, or was there", calls)
	}
}
