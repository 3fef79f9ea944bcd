// SPDX-License-Identifier: Apache-2.0

// Package export makes the providers that spans and metrics go to, from the
// standard OTEL_ environment variables
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
//
// It consumes and emits no events and owns what is not exported yet, in memory
// and bounded. A collector that is away, or slow, costs spans and nothing
// else: nothing waits for it, and it is said in the log once an outage.
//
// Where no endpoint and no exporter is named, it makes nothing. It chooses
// exporters itself and doesn't use contrib's autoexport, which would bring
// exporters for the console and for logs, and would open a port of its own for
// Prometheus.
package export
