// SPDX-License-Identifier: Apache-2.0

package otlpserver

import (
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Span is one span as it was sent. Ids are lower-case hex.
type Span struct {
	Service    string
	Trace, ID  string
	Parent     string // empty: it begins its trace
	Name       string
	Start, End time.Time
	Failed     bool
	Links      []Link
	Attributes map[string]string
}

// Link is what a span links to.
type Link struct{ Trace, ID string }

func spanOf(service string, s *tracepb.Span) Span {
	span := Span{
		Service: service, Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()),
		Parent: hex.EncodeToString(s.GetParentSpanId()), Name: s.GetName(),
		Start: time.Unix(0, int64(s.GetStartTimeUnixNano())).UTC(), End: time.Unix(0, int64(s.GetEndTimeUnixNano())).UTC(),
		Failed: s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR, Attributes: map[string]string{},
	}
	for _, l := range s.GetLinks() {
		span.Links = append(span.Links, Link{hex.EncodeToString(l.GetTraceId()), hex.EncodeToString(l.GetSpanId())})
	}
	for _, a := range s.GetAttributes() {
		span.Attributes[a.GetKey()] = textOf(a.GetValue())
	}
	return span
}

func text(attributes []*commonpb.KeyValue, key string) string {
	for _, a := range attributes {
		if a.GetKey() == key {
			return textOf(a.GetValue())
		}
	}
	return ""
}

func textOf(v *commonpb.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	case *commonpb.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10)
	case *commonpb.AnyValue_DoubleValue:
		return strconv.FormatFloat(v.DoubleValue, 'g', -1, 64)
	}
	return v.String()
}

// Spans are all spans so far, in the order of their start.
func (s *Server) Spans() []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	spans := slices.Clone(s.spans)
	slices.SortStableFunc(spans, func(a, b Span) int { return a.Start.Compare(b.Start) })
	return spans
}

// Of are the spans of a trace.
func (s *Server) Of(trace string) []Span {
	return slices.DeleteFunc(s.Spans(), func(span Span) bool { return span.Trace != trace })
}

// Metrics are the names of all metrics so far, sorted.
func (s *Server) Metrics() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.metrics))
}

// Labels are all labels of all metrics so far, each behind the name of its
// metric, sorted.
func (s *Server) Labels() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.labels))
}

// Orphans are the spans whose parent has not come.
func (s *Server) Orphans() []Span {
	spans := s.Spans()
	there := map[Link]bool{}
	for _, span := range spans {
		there[Link{span.Trace, span.ID}] = true
	}
	return slices.DeleteFunc(spans, func(span Span) bool { return span.Parent == "" || there[Link{span.Trace, span.Parent}] })
}

// Wait returns when done is true, which is asked with each export.
func (s *Server) Wait(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if done() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
