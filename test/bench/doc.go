// SPDX-License-Identifier: Apache-2.0

// Command bench measures Plumbline from outside, as its users meet it: from
// the end of git push, or from a hand edit's answer, to what a watch of the
// bench's own sees in the cluster and a plain subscriber hears on the bus.
// Each figure stands beside the raw limit of the same machine in the same
// run: one server-side apply, seen by the same watch.
//
// It counts the API server's requests by user from its audit log.
package main
