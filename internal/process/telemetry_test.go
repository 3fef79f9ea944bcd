// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// A line of a trace has its id, and one about an application its name, in
// either format and however the logger was made, and once; another line has
// none.
func TestLinesHaveTheirTrace(t *testing.T) {
	const id = "0102030405060708090a0b0c0d0e0f10"
	traceID, err := trace.TraceIDFromHex(id)
	if err != nil {
		t.Fatal(err)
	}
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: trace.SpanID{1}}))
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log, err := Logging{Level: "info", Format: format}.Logger(&out)
		if err != nil {
			t.Fatal(err)
		}
		line := func(ctx context.Context, log *slog.Logger, args ...any) string {
			out.Reset()
			log.InfoContext(ctx, "said", args...)
			if format == "json" && !json.Valid(out.Bytes()) {
				t.Errorf("no JSON: %s", &out)
			}
			return out.String()
		}
		for name, l := range map[string]string{
			"plain": line(ctx, log), "with": line(ctx, log.With("service", "watcher")), "given": line(ctx, log, "trace_id", id),
		} {
			if strings.Count(l, "trace_id") != 1 || !strings.Contains(l, id) {
				t.Errorf("%s, %s: %s", format, name, l)
			}
		}
		if l := line(t.Context(), log); strings.Contains(l, "trace_id") || strings.Contains(l, "application") {
			t.Errorf("%s: %s", format, l)
		}
		about := telemetry.About(ctx, "shop")
		for name, l := range map[string]string{"about": line(about, log), "given": line(about, log, "application", "shop")} {
			if strings.Count(l, "application") != 1 || !strings.Contains(l, "shop") || !strings.Contains(l, id) {
				t.Errorf("%s, %s: %s", format, name, l)
			}
		}
	}
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// A scrape shows the metrics of each service of the process by its name; where
// none are wanted, it shows none.
func TestScrape(t *testing.T) {
	for exporter, shown := range map[string]bool{"": true, "prometheus": true, "otlp": true, "none": false} {
		scrape, health := NewScrape(), &Health{}
		health.Scraped(scrape.Handler())
		getenv := func(name string) string {
			if name == "OTEL_METRICS_EXPORTER" {
				return exporter
			}
			return ""
		}
		for _, name := range []string{"watcher", "auditor"} {
			env, stop, err := Env{Name: name, Log: slog.New(slog.DiscardHandler), Getenv: getenv}.Measured(t.Context(), scrape, true)
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			env.Telemetry.Counter("plumbline.bus.redeliveries").Add(t.Context(), 2)
		}
		status, body := get(t, health, "/metrics")
		if status != http.StatusOK || !strings.Contains(body, "go_goroutines") {
			t.Errorf("%q: %d %s", exporter, status, body)
		}
		for _, want := range []string{`plumbline_bus_redeliveries_total{service_name="plumbline-watcher"} 2`, `plumbline_bus_redeliveries_total{service_name="plumbline-auditor"} 2`} {
			if strings.Contains(body, want) != shown {
				t.Errorf("exporter %q: %s is there: %v, want %v", exporter, want, !shown, shown)
			}
		}
	}
	if status, _ := get(t, &Health{}, "/metrics"); status != http.StatusNotFound {
		t.Errorf("metrics that are not kept: %d", status)
	}
}

// A variable that can't be is a wrong call.
func TestWrongVariable(t *testing.T) {
	getenv := func(name string) string { return map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}[name] }
	_, _, err := Env{Name: "watcher", Log: slog.New(slog.DiscardHandler), Getenv: getenv}.Measured(t.Context(), nil, false)
	if !IsUsage(err) || !strings.Contains(err.Error(), "OTEL_TRACES_EXPORTER=zipkin: want otlp or none") {
		t.Errorf("error %v", err)
	}
}
