// SPDX-License-Identifier: Apache-2.0

// Package faults breaks Plumbline on purpose and proves that it keeps its
// promises: real processes on a real control plane, a workload and faults that
// a seed decides, a history of everything that is seen from outside, and a
// checker that is pure over that history.
//
// A run is rounds. Each round plays some steps of the workload (commits,
// force-pushes, hand edits), begins a fault in the middle of them, lifts it,
// and waits until live is what Git declares again: the recovery. What the
// checker decides are the invariants I1 to I8, see check.go.
//
// Two things come from the seed and from nothing else: the steps ([NewPlan])
// and the faults with their order. What the scheduler and the network make of
// it differs from run to run, and is what the history is for.
//
// [Faults] is the table of all kinds. One kind is one entry, in a file named
// for what it breaks.
package faults
