// SPDX-License-Identifier: Apache-2.0

// Package privileges tests what leaves the processes of Plumbline: it plants a
// thousand secrets wherever one belongs, on a whole Plumbline of real processes
// that fails, heals and alerts, and searches everything outside the cluster for
// them, and for the keys of Plumbline itself: the seeds of the bus's users, the age
// identity, the source and the digest key, tokens and client keys of kubeconfigs.
//
// The rights themselves are tried where they are granted: of the bus in
// deploy/nats, of the cluster in test/deploy.
package privileges
