// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	metricsservice "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// measure exports a counter with a label.
func measure(t *testing.T, to, label string) {
	t.Helper()
	value := &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: label}}
	point := &metricspb.NumberDataPoint{Attributes: []*commonpb.KeyValue{{Key: "object", Value: value}}}
	counter := &metricspb.Metric{Name: "objects", Data: &metricspb.Metric_Sum{Sum: &metricspb.Sum{DataPoints: []*metricspb.NumberDataPoint{point}}}}
	body, err := proto.Marshal(&metricsservice.ExportMetricsServiceRequest{ResourceMetrics: []*metricspb.ResourceMetrics{
		{ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: []*metricspb.Metric{counter}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(to, "application/x-protobuf", bytes.NewReader(body)) //nolint:noctx // a server of the test's own
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

// A secret is found in each place that is searched.
func TestSecretsAreFoundWhereTheyLie(t *testing.T) {
	w := bare(t)
	dir := t.TempDir()
	for n, place := range []string{"data/nats/blocks", "log/applier.log", putAside + "/store/1.blk"} {
		path := filepath.Join(dir, place)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		text := "token: " + base64.StdEncoding.EncodeToString([]byte(w.Plan.Canaries.Value(n)))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.PostForm(w.Slack.URL()+"chat.postMessage", url.Values{ //nolint:noctx // a server of the test's own
		"token": {slackserver.Token}, "channel": {"#ops"}, "text": {w.Plan.Canaries.Value(3)},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	measure(t, w.OTLP.HTTP()+"/v1/metrics", w.Plan.Canaries.Value(4))
	d := &driver{World: w, options: Options{Log: io.Discard}}
	if err := d.search(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, r := range w.record.History() {
		if r.Leak != nil {
			found[r.Leak.Canary] = true
		}
	}
	for n := range 5 {
		if !found[w.Plan.Canaries.Value(n)] {
			t.Errorf("secret %d is not found", n)
		}
	}
	if len(found) != 5 {
		t.Errorf("found %v", found)
	}
}
