// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/plumbline-dev/plumbline/events"
)

const instrumentation = "github.com/plumbline-dev/plumbline/services/notifier"

// meters are the package's metrics; see the package comment for what they say.
type meters struct{ sent, delayed, failed metric.Int64Counter }

func newMeters() (meters, error) {
	m := otel.Meter(instrumentation)
	var all meters
	var errs [3]error
	all.sent, errs[0] = m.Int64Counter("plumbline.notifier.sent", metric.WithUnit("{message}"))
	all.delayed, errs[1] = m.Int64Counter("plumbline.notifier.delayed", metric.WithUnit("{message}"))
	all.failed, errs[2] = m.Int64Counter("plumbline.notifier.failed", metric.WithUnit("{alert}"))
	return all, errors.Join(errs[:]...)
}

func (m meters) took(ctx context.Context, kind string) {
	m.sent.Add(ctx, 1, metric.WithAttributes(attribute.String("kind", kind)))
}

func (m meters) waits(ctx context.Context, cause string) {
	m.delayed.Add(ctx, 1, metric.WithAttributes(attribute.String("cause", cause)))
}

func (m meters) refused(ctx context.Context, reason events.Reason) {
	m.failed.Add(ctx, 1, metric.WithAttributes(attribute.String("reason", string(reason))))
}
