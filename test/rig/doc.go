// SPDX-License-Identifier: Apache-2.0

// Package rig stands the whole of Plumbline up from its own binaries: a real
// control plane, a real Git server, a NATS process and the services as
// processes of their own, so that each can be killed and started again. The
// demo, the end-to-end tests and the benchmarks stand on it.
//
// It watches from outside: Kubernetes by a client of its own, the bus with
// the reader's credentials.
package rig
