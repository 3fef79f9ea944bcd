// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"

	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// Options are what one service's telemetry is made of.
type Options struct {
	Service, Version string
	// Shared says that the process runs several services: each is named for
	// itself, also where OTEL_SERVICE_NAME names the process.
	Shared bool
	// Scrape is what a scrape of the process reads; nil: nothing is scraped.
	Scrape client.Registerer
	Getenv func(string) string
	Log    *slog.Logger
}

const (
	// batchDelay is how long a span waits to be sent, unless
	// OTEL_BSP_SCHEDULE_DELAY says otherwise: a process that is killed loses
	// so much.
	batchDelay = time.Second
	// queueSize holds one tree of the greatest size, unless
	// OTEL_BSP_MAX_QUEUE_SIZE says otherwise.
	queueSize = maxTree
	// flushLimit is how long the end of a process may wait for the collector.
	flushLimit = 2 * time.Second
)

// New makes the providers that the environment asks for. stop sends what is
// left, for two seconds at most.
func New(ctx context.Context, o Options) (providers telemetry.Providers, stop func(), err error) {
	s, err := Read(o.Getenv)
	if err != nil {
		return telemetry.Providers{}, nil, err
	}
	// Whatever the SDK can't return: it would write to standard error.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Log.Debug("telemetry", "error", err) }))
	r, err := o.resource(ctx)
	if err != nil {
		return telemetry.Providers{}, nil, err
	}
	var ends []func(context.Context) error
	if s.Traces == otlp {
		p, err := o.tracers(ctx, s, r)
		if err != nil {
			return telemetry.Providers{}, nil, fmt.Errorf("export traces: %w", err)
		}
		providers.Tracers, ends = p, append(ends, p.Shutdown)
	}
	readers, err := o.readers(ctx, s)
	if err != nil {
		return telemetry.Providers{}, nil, fmt.Errorf("export metrics: %w", err)
	}
	if len(readers) > 0 {
		p := sdkmetric.NewMeterProvider(append(readers, sdkmetric.WithResource(r))...)
		providers.Meters, ends = p, append(ends, p.Shutdown)
	}
	return providers, func() { flush(ends, o.Log) }, nil
}

// flush ends all providers at once.
func flush(ends []func(context.Context) error, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), flushLimit)
	defer cancel()
	done := make(chan error, len(ends))
	for _, end := range ends {
		go func() { done <- end(ctx) }()
	}
	for range ends {
		if err := <-done; err != nil && !errors.Is(err, sdkmetric.ErrReaderShutdown) {
			log.Debug("telemetry that is left is lost", "error", err)
		}
	}
}

func (o Options) tracers(ctx context.Context, s Setting, r *resource.Resource) (*sdktrace.TracerProvider, error) {
	var exporter sdktrace.SpanExporter
	var err error
	if s.traceWire == wireGRPC {
		exporter, err = otlptracegrpc.New(ctx)
	} else {
		exporter, err = otlptracehttp.New(ctx)
	}
	if err != nil {
		return nil, err
	}
	return NewTracerProvider(spanExporter{exporter, &outage{log: o.Log, what: "traces"}}, r, o.batching()...), nil
}

// NewTracerProvider is a provider whose spans go to exporter. The sampler is
// that of OTEL_TRACES_SAMPLER; by default all that begins here is recorded.
func NewTracerProvider(exporter sdktrace.SpanExporter, r *resource.Resource, batching ...sdktrace.BatchSpanProcessorOption) *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(
		sdktrace.WithResource(r),
		sdktrace.WithIDGenerator(generator{}),
		sdktrace.WithSpanProcessor(newTrees(sdktrace.NewBatchSpanProcessor(exporter, batching...))),
	)
}

// batching never blocks: what the queue can't hold is lost.
func (o Options) batching() []sdktrace.BatchSpanProcessorOption {
	var options []sdktrace.BatchSpanProcessorOption
	if o.Getenv("OTEL_BSP_SCHEDULE_DELAY") == "" {
		options = append(options, sdktrace.WithBatchTimeout(batchDelay))
	}
	if o.Getenv("OTEL_BSP_MAX_QUEUE_SIZE") == "" {
		options = append(options, sdktrace.WithMaxQueueSize(queueSize))
	}
	return options
}

func (o Options) readers(ctx context.Context, s Setting) ([]sdkmetric.Option, error) {
	var readers []sdkmetric.Option
	if s.sendsMetrics() {
		var exporter sdkmetric.Exporter
		var err error
		if s.metricWire == wireGRPC {
			exporter, err = otlpmetricgrpc.New(ctx)
		} else {
			exporter, err = otlpmetrichttp.New(ctx)
		}
		if err != nil {
			return nil, err
		}
		readers = append(readers, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metricExporter{exporter, &outage{log: o.Log, what: "metrics"}})))
	}
	if o.Scrape != nil && s.Scraped() {
		reader, err := otelprometheus.New(
			otelprometheus.WithRegisterer(o.Scrape), otelprometheus.WithoutScopeInfo(),
			otelprometheus.WithResourceAsConstantLabels(attribute.NewAllowKeysFilter(semconv.ServiceNameKey)),
		)
		if err != nil {
			return nil, err
		}
		readers = append(readers, sdkmetric.WithReader(reader))
	}
	return readers, nil
}

// resource says whose spans and metrics they are: what OTEL_RESOURCE_ATTRIBUTES
// and OTEL_SERVICE_NAME say goes before ours.
func (o Options) resource(ctx context.Context) (*resource.Resource, error) {
	instance := make([]byte, 8)
	_, _ = rand.Read(instance) // never fails (crypto/rand)
	ours := resource.NewSchemaless(
		semconv.ServiceName("plumbline-"+o.Service), semconv.ServiceVersion(o.Version),
		semconv.ServiceInstanceID(hex.EncodeToString(instance)),
	)
	theirs, err := resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	all, err := resource.Merge(ours, theirs)
	if err != nil {
		return nil, err
	}
	if name, ok := theirs.Set().Value(semconv.ServiceNameKey); ok && o.Shared {
		return resource.Merge(all, resource.NewSchemaless(semconv.ServiceName(name.AsString()+"-"+o.Service)))
	}
	return all, nil
}
