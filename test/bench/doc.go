// SPDX-License-Identifier: Apache-2.0

// Command bench measures Plumbline from outside, as its users meet it: from
// the end of git push, or from a hand edit's answer, to what a watch of the
// bench's own sees in the cluster and a plain subscriber hears on the bus. The
// webhook is rung after the push has returned, and is inside the figure.
//
// Each figure stands beside the raw limit of the same machine in the same run:
// a bare client-go program, 32 workers and no rate limit, that sends the same
// requests to the same cluster, seen by the same watch.
//
// Requests are counted by user from the API server's audit log, CPU and memory
// of every process, render children included, from /proc.
//
// It prints a table, or JSON with -o json, and writes JSON and
// docs/performance.md where told to (-json, -doc). A part that can't be measured
// is told in all of them, and the others go on; it exits with 1 then.
package main
