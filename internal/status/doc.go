// SPDX-License-Identifier: Apache-2.0

// Package status tells how each application stands, from the events that were
// published about it: a pure fold, without a clock, a bus or a cluster.
//
// A [View] takes events in any order and as often as they come; what it says
// depends on the last event of each subject, and, for commits, on which of
// them were observed. It emits nothing and decides nothing for the pipeline:
// it is for people and for scripts that wait ([Goal]).
package status
