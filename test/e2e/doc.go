// SPDX-License-Identifier: Apache-2.0

// Package e2e tests Plumbline as it is deployed: every service a process with
// its own restricted credentials, over a real NATS server, a real Git server
// and a real control plane. Its tests kill, stop, lose and repeat what can be
// killed, stopped, lost and repeated, and then look at the cluster.
package e2e
