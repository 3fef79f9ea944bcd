// SPDX-License-Identifier: Apache-2.0

// Package timeline tells the life of each revision, from the events that were
// published about it: its stages with the times that the events carry, how it
// ended, and what diverged from it afterwards. It is a pure fold, without a
// clock, a bus or a cluster.
//
// [Fold] takes events in any order and as often as they come. Times are those
// of the events' stages, never of spans: they are there with no exporter set.
// It emits nothing and decides nothing for the pipeline: it is for people.
package timeline
