// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"slices"
	"strings"
)

// Setting is what the environment asks for.
type Setting struct {
	Traces     string // otlp | none
	Metrics    []string
	traceWire  string // grpc | http/protobuf
	metricWire string
}

const (
	otlp       = "otlp"
	none       = "none"
	prometheus = "prometheus"

	wireGRPC = "grpc"
	wireHTTP = "http/protobuf"
)

// Read reads the environment. Its error is for whoever set it.
func Read(getenv func(string) string) (Setting, error) {
	s := Setting{Traces: none}
	if strings.EqualFold(strings.TrimSpace(getenv("OTEL_SDK_DISABLED")), "true") {
		s.Metrics = []string{none}
		return s, nil
	}
	var err error
	if s.traceWire, err = wire(getenv, "TRACES"); err != nil {
		return s, err
	}
	if s.metricWire, err = wire(getenv, "METRICS"); err != nil {
		return s, err
	}
	switch v := strings.TrimSpace(getenv("OTEL_TRACES_EXPORTER")); {
	case v == otlp, v == none:
		s.Traces = v
	case v != "":
		return s, fmt.Errorf("OTEL_TRACES_EXPORTER=%s: want otlp or none", v)
	case endpoint(getenv, "TRACES"):
		s.Traces = otlp
	}
	for _, v := range strings.Split(getenv("OTEL_METRICS_EXPORTER"), ",") {
		switch v = strings.TrimSpace(v); v {
		case "":
		case otlp, prometheus, none:
			s.Metrics = append(s.Metrics, v)
		default:
			return s, fmt.Errorf("OTEL_METRICS_EXPORTER=%s: want otlp, prometheus or none", v)
		}
	}
	if len(s.Metrics) == 0 && endpoint(getenv, "METRICS") {
		s.Metrics = []string{otlp}
	}
	return s, nil
}

// Scraped says that GET /metrics is answered where there is a listener to
// answer on: unless no metrics are wanted at all.
func (s Setting) Scraped() bool { return !slices.Contains(s.Metrics, none) }

func (s Setting) sendsMetrics() bool {
	return slices.Contains(s.Metrics, otlp) && !slices.Contains(s.Metrics, none)
}

func endpoint(getenv func(string) string, signal string) bool {
	return getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}

// wire is the protocol of a signal. The default is the specification's.
func wire(getenv func(string) string, signal string) (string, error) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		switch v := strings.TrimSpace(getenv(name)); v {
		case "":
		case wireGRPC, wireHTTP:
			return v, nil
		default:
			return "", fmt.Errorf("%s=%s: want grpc or http/protobuf", name, v)
		}
	}
	return wireHTTP, nil
}
