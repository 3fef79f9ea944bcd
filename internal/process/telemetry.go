// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/plumbline-dev/plumbline/internal/telemetry/export"
)

// Scrape is what GET /metrics of one process shows: the metrics of its
// services, and those of the process itself (go_…, process_…).
type Scrape struct{ registry *prometheus.Registry }

// NewScrape is a scrape of a process without services.
func NewScrape() *Scrape {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Scrape{r}
}

// Handler answers a scrape.
func (s *Scrape) Handler() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Measured returns env with the telemetry that its environment variables ask
// for. Where scrape is given, the service's metrics are in it. shared says that
// the process runs several services. stop sends what is left, and is called
// when the service has ended. An error is a wrong call's: see [Usage].
func (e Env) Measured(ctx context.Context, scrape *Scrape, shared bool) (measured Env, stop func(), err error) {
	o := export.Options{Service: e.Name, Version: e.Version, Shared: shared, Getenv: e.Getenv, Log: e.Log}
	if scrape != nil {
		o.Scrape = scrape.registry
	}
	e.Telemetry, stop, err = export.New(ctx, o)
	if err != nil {
		return e, nil, Usage(err)
	}
	return e, stop, nil
}
