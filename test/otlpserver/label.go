// SPDX-License-Identifier: Apache-2.0

package otlpserver

import (
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// labelsOf are the labels of a metric's points: name key=value.
func labelsOf(m *metricspb.Metric) []string {
	var all []string
	take := func(labels []*commonpb.KeyValue) {
		for _, l := range labels {
			all = append(all, m.GetName()+" "+l.GetKey()+"="+l.GetValue().GetStringValue())
		}
	}
	for _, p := range m.GetSum().GetDataPoints() {
		take(p.GetAttributes())
	}
	for _, p := range m.GetGauge().GetDataPoints() {
		take(p.GetAttributes())
	}
	for _, p := range m.GetHistogram().GetDataPoints() {
		take(p.GetAttributes())
	}
	return all
}
