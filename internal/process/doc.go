// SPDX-License-Identifier: Apache-2.0

// Package process is what every binary of Plumbline shares around its
// service: flags, logging, signals, the health listener, the exit code.
//
// It consumes and emits no events and owns no state. It doesn't read a
// service's configuration, restarts nothing (that is for whoever runs the
// process), and sets up no telemetry exporter: OpenTelemetry's global
// providers stay the no-op ones unless a binary installs others before
// [Main], so a service measures and traces without asking whether anyone
// looks.
package process
