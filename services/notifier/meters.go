// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// meters are the package's metrics; telemetry.Table says what they are.
type meters struct{ sent, delayed, failed metric.Int64Counter }

func newMeters(t telemetry.Providers) meters {
	return meters{
		sent:    t.Counter("plumbline.notifier.sent"),
		delayed: t.Counter("plumbline.notifier.delayed"),
		failed:  t.Counter("plumbline.notifier.failed"),
	}
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
