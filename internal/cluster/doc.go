// SPDX-License-Identifier: Apache-2.0

// Package cluster looks into a cluster for a person at the command line: one
// object, where a kind is served, who asks and what it may.
//
// It reads with the kubeconfig that it is given and never writes: whatever is
// no read, and no question about the asker's own rights, is refused before it
// leaves the process. It watches nothing and keeps nothing.
package cluster
