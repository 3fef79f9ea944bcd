// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// openCount is how many divergences are open, by application. It is safe for
// concurrent use.
type openCount struct {
	mu sync.Mutex
	of map[string]int
}

func (c *openCount) set(application string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]int{}
	}
	c.of[application] = n
	if n == 0 {
		delete(c.of, application)
	}
}

func (c *openCount) sum() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := 0
	for _, n := range c.of {
		total += n
	}
	return int64(total)
}

// measure has the open divergences looked at, until the end of it is called.
func (a *Auditor) measure() (end func()) {
	return a.cfg.Bus.Telemetry.Gauge("plumbline.divergences.open", func(_ context.Context, observe telemetry.Observe) error {
		observe(a.open.sum(), metric.WithAttributes(attribute.String("cluster", a.cfg.Cluster)))
		return nil
	})
}

// open is how many divergences are open once drafts are published.
func (l *ledger) open(drafts []events.Draft) int {
	n := 0
	for _, known := range l.known {
		if known.Phase != Closed {
			n++
		}
	}
	for _, d := range drafts {
		switch d.Data.(type) {
		case *events.DivergenceDetected:
			n++
		case *events.DivergenceResolved:
			n--
		}
	}
	return n
}

// compare is judge in a span.
func (a *Auditor) compare(ctx context.Context, app *application, w work, now time.Time) (drafts []events.Draft, failed map[string]bool, err error) {
	ctx, span := telemetry.Start(ctx, "audit compare", attribute.String("plumbline.application", app.name), attribute.Bool("plumbline.all", w.all))
	defer func() {
		span.SetAttributes(attribute.Int("plumbline.transitions", len(drafts)), attribute.Int("plumbline.failed", len(failed)))
		telemetry.End(span, err, "not_examined")
	}()
	return a.judge(ctx, app, w, now)
}

// measured counts the requests that pass through next by verb and answer. It
// fits rest.Config.Wrap.
func measured(requests metric.Int64Counter) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(r)
			outcome, verb := "none", strings.ToLower(r.Method)
			if err == nil {
				outcome = strconv.Itoa(response.StatusCode/100) + "xx"
			}
			if r.Method == http.MethodGet && r.URL.Query().Get("watch") != "" {
				verb = "watch"
			}
			requests.Add(r.Context(), 1, metric.WithAttributes(attribute.String("verb", verb), attribute.String("outcome", outcome)))
			return response, err
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
