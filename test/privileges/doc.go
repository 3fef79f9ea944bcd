// SPDX-License-Identifier: Apache-2.0

// Package privileges tests what leaves the processes of Plumbline: it plants a
// thousand secrets wherever one belongs, on a whole Plumbline of real processes
// that fails, heals and alerts, and searches everything outside the cluster for
// them.
//
// The rights themselves are tried where they are granted: of the bus in
// deploy/nats, of the cluster in test/deploy.
package privileges
