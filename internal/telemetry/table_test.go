// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

var update = flag.Bool("update", false, "write the table of metrics into docs/telemetry.md")

const page = "../../docs/telemetry.md"

// The page has the table, neither more nor less.
func TestThePageHasTheTable(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, rest, ok := strings.Cut(string(text), "-update -->\n")
	_, after, end := strings.Cut(rest, "<!-- /metrics -->")
	if !ok || !end {
		t.Fatal("the page has no place for the table")
	}
	want := begin + "-update -->\n" + Markdown() + "<!-- /metrics -->" + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Error("docs/telemetry.md is out of date: go test ./internal/telemetry -update")
	}
}

var used = regexp.MustCompile(`\.(Counter|Histogram|Gauge)\("(plumbline\.[^"]+)"`)

// Every metric of the table is made somewhere, by its kind, and no other is;
// nobody goes past the table.
func TestTheTableIsWhatTheCodeMakes(t *testing.T) {
	made := map[string]string{}
	for _, root := range []string{"../../internal", "../../services", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range used.FindAllStringSubmatch(string(text), -1) {
				made[m[2]] = strings.ToLower(m[1])
			}
			if strings.Contains(string(text), "otel.Meter(") || strings.Contains(string(text), "otel.Tracer(") {
				t.Errorf("%s uses the global providers", path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range Table {
		if made[i.Name] != string(i.Kind) {
			t.Errorf("the table has the %s %s, the code makes it as %q", i.Kind, i.Name, made[i.Name])
		}
		delete(made, i.Name)
	}
	for name := range made {
		t.Errorf("the code makes %s, which is not in the table", name)
	}
}

// The SDK takes every name and unit of the table.
func TestTheTableIsValid(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	p := Providers{Meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))}
	for _, i := range Table {
		switch i.Kind {
		case Counter:
			p.Counter(i.Name).Add(t.Context(), 1)
		case Histogram:
			p.Histogram(i.Name).Record(t.Context(), 1)
		case Gauge:
			p.Gauge(i.Name, func(_ context.Context, observe Observe) error { observe(1, metric.WithAttributes()); return nil })
		}
		if len(i.By) > 3 || slices.Contains(i.By, "application") {
			t.Errorf("%s is split by %q", i.Name, i.By)
		}
	}
	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	if n := len(data.ScopeMetrics[0].Metrics); n != len(Table) {
		t.Errorf("%d metrics, want %d", n, len(Table))
	}
}
