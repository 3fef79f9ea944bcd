// SPDX-License-Identifier: Apache-2.0

// Command demo tells Plumbline's story on real parts: a control plane, a Git
// server, a NATS process and each service as a process of its own. Every step
// is checked by the demo's own view of cluster and bus, timed, and printed
// for a person to read.
//
// It exits with 0 only if all of it happened. In the environment,
// WITHOUT=<service> leaves a service out, and KEEP=1 leaves everything
// running at the end.
package main
