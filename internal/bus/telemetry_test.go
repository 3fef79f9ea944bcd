// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
	"github.com/plumbline-dev/plumbline/internal/telemetry/export"
)

// connect is a connection with telemetry.
func connect(t *testing.T, s *bustest.Server, user string, given telemetry.Providers) *bus.Conn {
	t.Helper()
	cfg := s.Config(user)
	cfg.Telemetry = given
	conn, err := bus.Connect(t.Context(), cfg, bustest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// One trace per commit, through every hop; the span of a hop is linked to the
// one that published its input.
func TestTraceAndMetrics(t *testing.T) {
	spans, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
	given := telemetry.Providers{
		Tracers: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		Meters:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	}
	s := startPatient(t)
	in := publish(t, connect(t, s, "watcher", given), commit("shop", "a"))[0]
	stop := bustest.Run(t, connect(t, s, "renderer", given).Consumer("renderer", func(_ context.Context, in events.Event) ([]events.Draft, error) {
		return []events.Draft{failed(in.Application)}, nil
	}, bus.Options{}))
	s.Idle(t, "renderer")
	stop()

	var names []string
	byName := map[string]sdktrace.ReadOnlySpan{}
	for _, span := range spans.Ended() {
		names = append(names, span.Name())
		byName[span.Name()] = span
		if got := span.SpanContext().TraceID().String(); got != traceID(in.Traceparent) {
			t.Errorf("%s is in trace %s, want %s", span.Name(), got, traceID(in.Traceparent))
		}
	}
	slices.Sort(names)
	if want := []string{"ack renderer", "commit", "handle commit.observed", "publish commit.observed", "publish render.failed"}; !slices.Equal(names, want) {
		t.Fatalf("spans %q, want %q", names, want)
	}
	handle := byName["handle commit.observed"]
	if links := handle.Links(); len(links) != 1 || links[0].SpanContext.SpanID() != byName["publish commit.observed"].SpanContext().SpanID() {
		t.Errorf("links of the handler's span: %+v", links)
	}
	if byName["publish render.failed"].Parent().SpanID() != handle.SpanContext().SpanID() {
		t.Error("the output is not published under the handler's span")
	}

	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
				for _, p := range sum.DataPoints {
					sums[m.Name] += p.Value
				}
			}
		}
	}
	if sums["plumbline.bus.consumed"] != 1 || sums["plumbline.bus.published"] != 2 || sums["plumbline.bus.redeliveries"] != 0 {
		t.Errorf("metrics: %v", sums)
	}
}

// What has a trace of its own is linked to the one that it is about, every
// parent is sent, and what comes to nothing is not.
func TestOwnTrace(t *testing.T) {
	sent := tracetest.NewInMemoryExporter()
	tracers := export.NewTracerProvider(sent, resource.Empty())
	defer func() { _ = tracers.Shutdown(context.WithoutCancel(t.Context())) }() // nothing is left
	s := bustest.Start(t)
	about := publish(t, connect(t, s, "watcher", telemetry.Providers{Tracers: tracers}), commit("shop", "a"))[0]
	auditor := connect(t, s, "auditor-local", telemetry.Providers{Tracers: tracers})
	consumer := auditor.Consumer("auditor-local", func(context.Context, events.Event) ([]events.Draft, error) { return nil, nil }, bus.Options{})
	stop := bustest.Run(t, consumer)
	key := strings.Repeat("ab", 16)
	consumer.Observe("shop", events.Cause{ID: "nothing"}, func(context.Context) ([]events.Draft, error) { return nil, nil })
	consumer.Observe("shop", events.Cause{ID: "edit"}, func(context.Context) ([]events.Draft, error) {
		return []events.Draft{{
			Data:    &events.DivergenceDetected{Divergence: events.Divergence{Key: key, Kind: events.DivergenceChanged, Since: time.Now(), Object: &events.Object{Version: "v1", Kind: "ConfigMap", Name: "web"}}},
			Address: events.Address{Cluster: "local", Application: "shop", Key: key}, Begins: about.Traceparent,
		}}, nil
	})
	var detected events.Event
	bustest.Eventually(t, "the divergence is said", func() bool {
		var err error
		detected, err = auditor.Last(t.Context(), events.TypeNamed("divergence.detected").Subject(events.Address{Cluster: "local", Application: "shop", Key: key}))
		return err == nil
	})
	s.Idle(t, "auditor-local")
	stop()
	if traceID(detected.Traceparent) == traceID(about.Traceparent) {
		t.Error("the divergence is in the trace of the commit")
	}
	if err := tracers.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	there, observed, linked := map[trace.SpanID]bool{}, 0, false
	for _, span := range sent.GetSpans() {
		there[span.SpanContext.SpanID()] = true
		if span.Name == "observe auditor" {
			observed++
		}
		if span.Name == "divergence" {
			linked = slices.ContainsFunc(span.Links, func(l sdktrace.Link) bool { return l.SpanContext.TraceID().String() == traceID(about.Traceparent) })
		}
	}
	if observed != 1 || !linked {
		t.Errorf("%d observations were sent, want the one that led to something; the divergence is linked: %v", observed, linked)
	}
	for _, span := range sent.GetSpans() {
		if span.Parent.SpanID().IsValid() && !there[span.Parent.SpanID()] {
			t.Errorf("%s is an orphan", span.Name)
		}
	}
}

// A key that is changed while the server is away is used when it is back.
func TestKeyIsReadAgain(t *testing.T) {
	s := bustest.Start(t)
	watcher := s.Connect(t, "watcher")
	publish(t, watcher, commit("shop", "a"))
	key := s.Config("watcher").Creds
	s.Down(t)
	bustest.Eventually(t, "the connection is known to be lost", func() bool { return !watcher.Connected() })
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	s.Up(t) // makes the key that is missing
	publish(t, watcher, commit("shop", "b"))
}
