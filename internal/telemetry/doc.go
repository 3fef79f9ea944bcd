// SPDX-License-Identifier: Apache-2.0

// Package telemetry is what bus and services measure and trace with: the
// providers that they are given, spans that begin a trace under an identity
// known beforehand, spans of what is over, and the one table of all metrics.
//
// It consumes and emits no events, owns no state and exports nothing: where no
// provider is given, nothing is recorded, and trace ids are there all the
// same. [github.com/plumbline-dev/plumbline/internal/telemetry/export] makes
// providers that export.
//
// No secret, no value of an object and no text of a third party is put into a
// span or a metric; what a metric is split by is bounded (see [Table]).
package telemetry
