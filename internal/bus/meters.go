// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

const instrumentation = "github.com/plumbline-dev/plumbline/internal/bus"

// meters are the package's metrics; see the package comment for what they say.
type meters struct {
	consumed, published, redeliveries, quarantined, outages metric.Int64Counter
	duration                                                metric.Float64Histogram
}

func newMeters() (meters, error) {
	m := otel.Meter(instrumentation)
	var all meters
	var errs [6]error
	all.consumed, errs[0] = m.Int64Counter("plumbline.bus.consumed", metric.WithUnit("{event}"))
	all.published, errs[1] = m.Int64Counter("plumbline.bus.published", metric.WithUnit("{event}"))
	all.redeliveries, errs[2] = m.Int64Counter("plumbline.bus.redeliveries", metric.WithUnit("{event}"))
	all.quarantined, errs[3] = m.Int64Counter("plumbline.bus.quarantined", metric.WithUnit("{event}"))
	all.outages, errs[4] = m.Int64Counter("plumbline.bus.outages", metric.WithUnit("{outage}"))
	all.duration, errs[5] = m.Float64Histogram("plumbline.bus.duration", metric.WithUnit("s"))
	return all, errors.Join(errs[:]...)
}
