// SPDX-License-Identifier: Apache-2.0

// Package process is what every binary of Plumbline shares around its
// service: flags, logging, signals, the health listener, telemetry, the exit
// code.
//
// It consumes and emits no events and owns no state. It doesn't read a
// service's configuration and restarts nothing: that is for whoever runs the
// process. Where spans and metrics go is said by the standard OTEL_
// environment variables; docs/telemetry.md has them.
package process
