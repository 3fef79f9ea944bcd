// SPDX-License-Identifier: Apache-2.0

// Package incident tells what people have to know of, from the events that
// were published about it: a pure fold, without a clock, a bus or a cluster.
//
// A [View] takes events in any order and as often as they come. An incident is
// of a [Scope], one thing that can be wrong:
//
//	scope        opened by                          closed by a later
//	divergence   divergence.persisted               divergence.resolved
//	render       render.failed                      manifests.rendered, manifests.unchanged
//	commit       commit.rejected                    commit.observed
//	convergence  convergence.failed, .degraded      convergence.completed
//	hold         convergence.held                   convergence.completed; its approval and then
//	                                                convergence.applied; convergence.applied of a
//	                                                newer revision
//	withdrawal   application.withdrawn (held)       application.withdrawn (not held), commit.observed
//	source       source.unreachable                 source.recovered
//	declaration  fleet.rejected                     fleet.observed (local) that doesn't name it among its rejections
//
// What is wrong with an application, divergences apart, also ends when it is
// withdrawn; and, but for a withdrawal, with a fleet.observed that no longer
// names it: an application of which nothing was ever applied is not withdrawn.
// A divergence that was resolved before it persisted is an incident that was
// never open. Newer state replaces: a failure of a newer revision, or for
// another reason, is the same incident.
//
// Which alerts an incident has led to (alert.delivered, alert.failed) is part
// of the view. It emits nothing, and it doesn't decide whom to tell.
package incident
