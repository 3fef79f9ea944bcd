// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/plumbline-dev/plumbline/internal/telemetry"
	"github.com/plumbline-dev/plumbline/test/otlpserver"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if key, value, _ := strings.Cut(p, "="); key == name {
				return value
			}
		}
		return ""
	}
}

func TestRead(t *testing.T) {
	const at = "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"
	for name, c := range map[string]struct {
		env     []string
		traces  string
		metrics []string
		wire    string
		scraped bool
		fails   string
	}{
		"nothing":           {nil, none, nil, wireHTTP, true, ""},
		"endpoint":          {[]string{at}, otlp, []string{otlp}, wireHTTP, true, ""},
		"grpc":              {[]string{at, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, otlp, []string{otlp}, wireGRPC, true, ""},
		"traces alone":      {[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://x"}, otlp, nil, wireHTTP, true, ""},
		"traces' protocol":  {[]string{at, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc"}, otlp, []string{otlp}, wireGRPC, true, ""},
		"none":              {[]string{at, "OTEL_TRACES_EXPORTER=none", "OTEL_METRICS_EXPORTER=none"}, none, []string{none}, wireHTTP, false, ""},
		"prometheus":        {[]string{at, "OTEL_METRICS_EXPORTER=prometheus"}, otlp, []string{prometheus}, wireHTTP, true, ""},
		"both":              {[]string{"OTEL_METRICS_EXPORTER=prometheus,otlp"}, none, []string{prometheus, otlp}, wireHTTP, true, ""},
		"by name":           {[]string{"OTEL_TRACES_EXPORTER=otlp"}, otlp, nil, wireHTTP, true, ""},
		"disabled":          {[]string{at, "OTEL_SDK_DISABLED=true"}, none, []string{none}, "", false, ""},
		"unknown exporter":  {[]string{"OTEL_TRACES_EXPORTER=zipkin"}, none, nil, wireHTTP, true, "OTEL_TRACES_EXPORTER=zipkin: want otlp or none"},
		"unknown metrics":   {[]string{"OTEL_METRICS_EXPORTER=statsd"}, none, nil, wireHTTP, true, "OTEL_METRICS_EXPORTER=statsd"},
		"unknown protocol":  {[]string{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json"}, none, nil, "", true, "want grpc or http/protobuf"},
		"disabled, unknown": {[]string{"OTEL_SDK_DISABLED=TRUE", "OTEL_TRACES_EXPORTER=zipkin"}, none, []string{none}, "", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Read(env(c.env...))
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("error %v, want %q in it", err, c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.Traces != c.traces || !slices.Equal(s.Metrics, c.metrics) || s.traceWire != c.wire || s.Scraped() != c.scraped {
				t.Errorf("%+v, scraped %v; want %+v", s, s.Scraped(), c)
			}
		})
	}
}

// Spans of one piece of work go on together, each after the one above it, and
// what came to nothing is left out.
func TestTrees(t *testing.T) {
	sent := tracetest.NewSpanRecorder()
	p := newTrees(sent)
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p)).Tracer("test")
	names := func() (out []string) {
		for _, s := range sent.Ended() {
			out = append(out, s.Name())
		}
		return out
	}
	ctx, root := tracer.Start(t.Context(), "root")
	middle, span := tracer.Start(ctx, "middle")
	_, leaf := tracer.Start(middle, "leaf")
	_, late := tracer.Start(ctx, "late")
	leaf.End()
	span.End()
	if got := names(); len(got) > 0 {
		t.Errorf("%q were sent before the root's end", got)
	}
	root.End()
	late.End()
	if got, want := names(), []string{"root", "middle", "leaf", "late"}; !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
	idle, root := tracer.Start(t.Context(), "idle")
	_, span = tracer.Start(idle, "below")
	_, late = tracer.Start(idle, "late")
	span.End()
	root.SetAttributes(attribute.Bool(telemetry.Idle, true))
	root.End()
	late.End()
	if got := names(); len(got) != 4 {
		t.Errorf("sent %q: what is idle is left out", got)
	}
	if n := len(p.of); n > 0 {
		t.Errorf("%d spans are kept for ever", n)
	}
}

// A tree that is greater than can be kept loses what began last, and no more:
// nothing is sent without the span above it.
func TestATreeIsBounded(t *testing.T) {
	sent := tracetest.NewSpanRecorder()
	p := newTrees(sent)
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p)).Tracer("test")
	root, first := tracer.Start(t.Context(), "root")
	ctx, middle := tracer.Start(root, "middle")
	for range maxTree {
		below, span := tracer.Start(ctx, "object")
		_, leaf := tracer.Start(below, "request")
		leaf.End()
		span.End()
	}
	middle.End()
	first.End()
	there := map[trace.SpanID]bool{}
	for _, s := range sent.Ended() {
		there[s.SpanContext().SpanID()] = true
	}
	for _, s := range sent.Ended() {
		if s.Parent().IsValid() && !there[s.Parent().SpanID()] {
			t.Fatalf("%s is an orphan", s.Name())
		}
	}
	if len(there) != maxTree || len(p.of) > 0 {
		t.Errorf("%d sent, %d kept; want %d and none", len(there), len(p.of), maxTree)
	}
}

// An outage is said once, and its end.
func TestAnOutageIsSaidOnce(t *testing.T) {
	var text bytes.Buffer
	o := &outage{log: slog.New(slog.NewTextHandler(&text, nil)), what: "traces"}
	broken := errors.New("broken")
	for _, err := range []error{nil, broken, broken, nil, nil, broken} {
		o.took(err, 5)
	}
	got := fmt.Sprint(strings.Count(text.String(), "level=WARN"), strings.Count(text.String(), "level=INFO"), strings.Contains(text.String(), "lost=10"))
	if got != "2 1 true" {
		t.Errorf("%s\n%s", got, &text)
	}
}

// A collector that hangs or refuses holds nobody up: neither who ends a span,
// nor, for longer than the limit, who ends the process.
func TestACollectorThatIsAwayHoldsNobodyUp(t *testing.T) {
	for _, protocol := range []string{wireGRPC, wireHTTP} {
		for name, mood := range map[string]otlpserver.Mood{"hangs": otlpserver.Hangs, "refuses": otlpserver.Refuses} {
			t.Run(strings.ReplaceAll(protocol, "/", "-")+" "+name, func(t *testing.T) {
				server, err := otlpserver.Start()
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = server.Close() }() // at the end
				server.Be(mood)
				pairs := server.Env(protocol)
				for _, p := range pairs {
					key, value, _ := strings.Cut(p, "=")
					t.Setenv(key, value)
				}
				providers, stop, err := New(t.Context(), Options{Service: "test", Getenv: env(pairs...), Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				tracer := providers.Tracer()
				from := time.Now()
				for range 3 * queueSize {
					_, span := tracer.Start(t.Context(), "span")
					span.End()
				}
				if took := time.Since(from); took > 30*time.Second { // who is blocked is so for longer
					t.Errorf("%d spans took %s", 3*queueSize, took)
				}
				from = time.Now()
				stop()
				if took := time.Since(from); took > flushLimit+6*time.Second {
					t.Errorf("the end took %s", took)
				}
			})
		}
	}
}

// What is left is sent at the end, by both protocols, under the service's name.
func TestWhatIsLeftIsSent(t *testing.T) {
	for _, protocol := range []string{wireGRPC, wireHTTP} {
		t.Run(strings.ReplaceAll(protocol, "/", "-"), func(t *testing.T) {
			server, err := otlpserver.Start()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = server.Close() }() // at the end
			pairs := append(server.Env(protocol), "OTEL_BSP_SCHEDULE_DELAY=600000", "OTEL_METRIC_EXPORT_INTERVAL=600000")
			for _, p := range append(pairs, "OTEL_SERVICE_NAME=mine") {
				key, value, _ := strings.Cut(p, "=")
				t.Setenv(key, value)
			}
			for _, service := range []string{"watcher", "renderer"} { // as plumbline up has them
				providers, stop, err := New(t.Context(), Options{Service: service, Shared: true, Getenv: env(pairs...), Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				_, span := providers.Tracer().Start(t.Context(), "span of "+service)
				span.End()
				providers.Counter("plumbline.heals").Add(t.Context(), 1)
				stop()
			}
			var got []string
			for _, s := range server.Spans() {
				got = append(got, s.Service+": "+s.Name)
			}
			if want := []string{"mine-watcher: span of watcher", "mine-renderer: span of renderer"}; !slices.Equal(got, want) {
				t.Errorf("spans %q, want %q", got, want)
			}
			if !slices.Contains(server.Metrics(), "plumbline.heals") {
				t.Errorf("metrics %q", server.Metrics())
			}
		})
	}
}

// With nothing set nothing is made.
func TestNothingIsSet(t *testing.T) {
	providers, stop, err := New(t.Context(), Options{Service: "test", Getenv: env(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if providers.Tracers != nil || providers.Meters != nil {
		t.Errorf("%+v", providers)
	}
}
