// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// step is the span of one object: which it is, what was done, in how many
// requests, and what came of it; never what it holds.
func (r *run) step(do func(context.Context, Step) (Result, error)) func(context.Context, Step) (Result, error) {
	return func(ctx context.Context, s Step) (result Result, err error) {
		if !s.Op.Writes() && s.Op != OpDelete {
			return do(ctx, s)
		}
		verb := "apply "
		if s.Op == OpDelete {
			verb = "delete "
		}
		ctx, span := telemetry.Start(ctx, verb+s.Kind, objectAttributes(s.Object)...)
		ctx, sent := countWithin(ctx)
		defer func() {
			span.SetAttributes(
				attribute.String("plumbline.op", string(s.Op)), attribute.Int64("plumbline.requests", sent.n.Load()),
				attribute.String("plumbline.action", string(result.Action)))
			failed := errors.Join(err, result.Err)
			telemetry.End(span, failed, why(failed))
		}()
		return do(ctx, s)
	}
}

// carryOutTraced is carryOut in a span.
func (r *run) carryOutTraced(ctx context.Context, plan Plan) error {
	if plan.Requests() == 0 {
		return r.carryOut(ctx, plan)
	}
	ctx, span := telemetry.Start(ctx, "apply", attribute.Int("plumbline.writes", plan.Requests()))
	err := r.carryOut(ctx, plan)
	telemetry.End(span, err, why(err))
	return err
}

// why names the kind of what went wrong with an object.
func why(err error) string {
	t := new(trouble)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &t):
		return string(t.Reason)
	}
	return "api_server"
}

func objectAttributes(o events.Object) []attribute.KeyValue {
	attributes := []attribute.KeyValue{
		attribute.String("plumbline.object.group", o.Group), attribute.String("plumbline.object.kind", o.Kind),
		attribute.String("plumbline.object.name", o.Name),
	}
	if o.Namespace != "" {
		attributes = append(attributes, semconv.K8SNamespaceName(o.Namespace))
	}
	return attributes
}

// countWithin counts requests on its own, and for the piece of work that ctx
// belongs to.
func countWithin(ctx context.Context) (context.Context, *sent) {
	outer, _ := ctx.Value(meterKey{}).(*sent)
	t := &sent{within: outer}
	return context.WithValue(ctx, meterKey{}, t), t
}

// sent is a number of requests, counted towards that of a greater piece of
// work as well.
type sent struct {
	n      atomic.Int64
	within *sent // nil: there is none
}

func (t *sent) add(n int64) {
	for ; t != nil; t = t.within {
		t.n.Add(n)
	}
}

// measured counts the requests that pass through next by verb and answer. It
// fits rest.Config.Wrap.
func measured(requests metric.Int64Counter) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(r)
			outcome := "none"
			if err == nil {
				outcome = strconv.Itoa(response.StatusCode/100) + "xx"
			}
			requests.Add(r.Context(), 1, metric.WithAttributes(attribute.String("verb", verb(r)), attribute.String("outcome", outcome)))
			return response, err
		})
	}
}

// verb is what the request does; a collection that is read is not told from
// one object.
func verb(r *http.Request) string {
	if r.Method == http.MethodGet && r.URL.Query().Get("watch") != "" {
		return "watch"
	}
	return strings.ToLower(r.Method)
}
