// SPDX-License-Identifier: Apache-2.0

package otlpserver

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	metricsservice "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	traceservice "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // exporters may compress
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Mood is how it answers.
type Mood int

// Moods.
const (
	Takes   Mood = iota // what it is sent
	Hangs               // says nothing until the asker gives up
	Refuses             // unavailable
)

// Server is a running receiver. Safe for concurrent use.
type Server struct {
	grpc     *grpc.Server
	http     *http.Server
	grpcAddr net.Addr
	httpAddr net.Addr
	served   sync.WaitGroup

	mu      sync.Mutex
	mood    Mood
	asked   int
	spans   []Span
	metrics map[string]bool
	labels  map[string]bool
	changed chan struct{} // closed and replaced with each export
}

// Start listens on two free ports of loopback.
func Start() (*Server, error) {
	s := &Server{metrics: map[string]bool{}, labels: map[string]bool{}, changed: make(chan struct{})}
	forGRPC, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("otlpserver: %w", err)
	}
	forHTTP, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("otlpserver: %w", err), forGRPC.Close())
	}
	s.grpcAddr, s.httpAddr = forGRPC.Addr(), forHTTP.Addr()
	s.grpc = grpc.NewServer()
	traceservice.RegisterTraceServiceServer(s.grpc, traces{s: s})
	metricsservice.RegisterMetricsServiceServer(s.grpc, metrics{s: s})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", s.postTraces)
	mux.HandleFunc("POST /v1/metrics", s.postMetrics)
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	s.served.Go(func() { _ = s.grpc.Serve(forGRPC) }) // ends with Stop
	s.served.Go(func() { _ = s.http.Serve(forHTTP) }) // ends with Close
	return s, nil
}

// Close stops it and cuts what is under way.
func (s *Server) Close() error {
	s.grpc.Stop()
	err := s.http.Close()
	s.served.Wait()
	return err
}

// GRPC is the endpoint for OTEL_EXPORTER_OTLP_PROTOCOL=grpc.
func (s *Server) GRPC() string { return "http://" + s.grpcAddr.String() }

// HTTP is the endpoint for OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf.
func (s *Server) HTTP() string { return "http://" + s.httpAddr.String() }

// Env is the environment that sends everything here, by a protocol: grpc or
// http/protobuf.
func (s *Server) Env(protocol string) []string {
	endpoint := s.HTTP()
	if protocol == "grpc" {
		endpoint = s.GRPC()
	}
	return []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol,
		"OTEL_BSP_SCHEDULE_DELAY=100", "OTEL_METRIC_EXPORT_INTERVAL=500",
	}
}

// Be has it answer in a mood from now on.
func (s *Server) Be(m Mood) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mood = m
}

// Asked is how many exports were tried.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// answer waits, or fails, as the mood is.
func (s *Server) answer(ctx context.Context) error {
	s.mu.Lock()
	s.asked++
	mood := s.mood
	s.mu.Unlock()
	switch mood {
	case Hangs:
		<-ctx.Done()
		return status.Error(codes.DeadlineExceeded, "it hangs")
	case Refuses:
		return status.Error(codes.Unavailable, "it refuses")
	case Takes:
	}
	return nil
}

func (s *Server) takeTraces(in []*tracepb.ResourceSpans) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range in {
		service := text(r.GetResource().GetAttributes(), "service.name")
		for _, scope := range r.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				s.spans = append(s.spans, spanOf(service, span))
			}
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) takeMetrics(in []*metricspb.ResourceMetrics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range in {
		for _, scope := range r.GetScopeMetrics() {
			for _, m := range scope.GetMetrics() {
				s.metrics[m.GetName()] = true
				for _, label := range labelsOf(m) {
					s.labels[label] = true
				}
			}
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

type traces struct {
	traceservice.UnimplementedTraceServiceServer
	s *Server
}

// Export takes spans by gRPC.
func (t traces) Export(ctx context.Context, in *traceservice.ExportTraceServiceRequest) (*traceservice.ExportTraceServiceResponse, error) {
	if err := t.s.answer(ctx); err != nil {
		return nil, err
	}
	t.s.takeTraces(in.GetResourceSpans())
	return &traceservice.ExportTraceServiceResponse{}, nil
}

type metrics struct {
	metricsservice.UnimplementedMetricsServiceServer
	s *Server
}

// Export takes metrics by gRPC.
func (m metrics) Export(ctx context.Context, in *metricsservice.ExportMetricsServiceRequest) (*metricsservice.ExportMetricsServiceResponse, error) {
	if err := m.s.answer(ctx); err != nil {
		return nil, err
	}
	m.s.takeMetrics(in.GetResourceMetrics())
	return &metricsservice.ExportMetricsServiceResponse{}, nil
}

func (s *Server) postTraces(w http.ResponseWriter, r *http.Request) {
	in := &traceservice.ExportTraceServiceRequest{}
	if s.post(w, r, in, &traceservice.ExportTraceServiceResponse{}) {
		s.takeTraces(in.GetResourceSpans())
	}
}

func (s *Server) postMetrics(w http.ResponseWriter, r *http.Request) {
	in := &metricsservice.ExportMetricsServiceRequest{}
	if s.post(w, r, in, &metricsservice.ExportMetricsServiceResponse{}) {
		s.takeMetrics(in.GetResourceMetrics())
	}
}

// maxBody bounds one export.
const maxBody = 64 << 20

func (s *Server) post(w http.ResponseWriter, r *http.Request, in, out proto.Message) bool {
	body, err := read(r)
	if err == nil {
		err = proto.Unmarshal(body, in)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	if err := s.answer(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return false
	}
	answer, err := proto.Marshal(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return false
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, err = w.Write(answer)
	return err == nil
}

func read(r *http.Request) ([]byte, error) {
	if ct := r.Header.Get("Content-Type"); ct != "application/x-protobuf" {
		return nil, fmt.Errorf("content type %q: want application/x-protobuf", ct)
	}
	body := io.Reader(io.LimitReader(r.Body, maxBody))
	if r.Header.Get("Content-Encoding") == "gzip" {
		zipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = io.LimitReader(zipped, maxBody)
	}
	return io.ReadAll(body)
}
