// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbline-dev/plumbline/events"
)

// TestDecideStateSpace goes through every previous outcome, its place in the
// order, and everything that a render can come to, and checks each choice
// against the laws rather than against a table.
func TestDecideStateSpace(t *testing.T) {
	in := events.Order{Epoch: "e", Sequence: 10}
	digests := []string{"A", "B"}
	failures := []*failure{{Reason: "syntax", Message: "m", File: "f", Line: 1}, {Reason: "syntax", Message: "m", File: "f", Line: 2}}
	var previous []outcome
	for _, order := range []events.Order{{Epoch: "e", Sequence: 9}, in, {Epoch: "e", Sequence: 11}, {Epoch: "other", Sequence: 9}, {Epoch: "other", Sequence: 10}, {Epoch: "other", Sequence: 11}} {
		for _, d := range digests {
			previous = append(previous, outcome{phase: phaseRendered, order: order, digest: d}, outcome{phase: phaseUnchanged, order: order, digest: d}, outcome{phase: phaseRendered, order: order, digest: d, lost: true})
		}
		for _, f := range failures {
			previous = append(previous, outcome{phase: phaseFailed, order: order, failed: f})
		}
	}
	previous = append(previous, outcome{phase: phaseNone})
	now := []outcome{{digest: "A"}, {digest: "B"}, {failed: failures[0]}, {failed: failures[1]}}
	seen := map[phase]int{}
	for _, p := range previous {
		for _, n := range now {
			got := decide(in, p, n)
			seen[got.phase]++
			if fault := breach(in, p, n, got); fault != "" {
				t.Errorf("previous %+v, now %+v: %+v: %s", p, n, got, fault)
			}
			if got != decide(in, p, n) {
				t.Error("decide is not a function")
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("choices seen: %v", seen)
	}
}

// breach says which law a choice breaks.
func breach(in events.Order, previous, now outcome, got verdict) string {
	comparable := previous.phase != phaseNone && previous.order.Epoch == in.Epoch
	newer := comparable && previous.order.Sequence > in.Sequence
	this := comparable && previous.order.Sequence == in.Sequence
	failedBefore := comparable && previous.phase == phaseFailed
	sameBundle := comparable && !failedBefore && previous.digest == now.digest
	switch {
	case newer && got.phase != phaseNone:
		return "an event below a newer outcome"
	case newer:
		return ""
	case this && got.phase == phaseNone:
		if now.failed != nil && previous.failed != nil && *now.failed == *previous.failed || now.failed == nil && sameBundle && !previous.lost {
			return ""
		}
		return "another outcome of this revision is kept quiet"
	case got.phase == phaseNone:
		return "a revision without an outcome"
	case (now.failed != nil) != (got.phase == phaseFailed):
		return "failed and good are mixed up"
	case got.phase == phaseUnchanged && !sameBundle:
		return "unchanged, but the revision before is no equal bundle"
	case got.phase == phaseRendered && sameBundle && !(this && previous.lost):
		return "rendered, but the revision before is the same bundle"
	case (got.recoveredFrom != 0) != (got.phase == phaseRendered && failedBefore):
		return "a recovery is not said, or said wrongly"
	case got.recoveredFrom != 0 && got.recoveredFrom != previous.order.Sequence:
		return "recovered from another revision"
	}
	return ""
}

func TestBeginStateSpace(t *testing.T) {
	in := events.Order{Epoch: "e", Sequence: 10}
	for _, newest := range []events.Order{{}, {Epoch: "e", Sequence: 10}, {Epoch: "e", Sequence: 11}, {Epoch: "other", Sequence: 11}} {
		for _, p := range []phase{phaseNone, phaseRendered, phaseUnchanged, phaseFailed} {
			for _, order := range []events.Order{{Epoch: "e", Sequence: 9}, {Epoch: "e", Sequence: 10}, {Epoch: "e", Sequence: 11}, {Epoch: "other", Sequence: 11}} {
				for flags := range 4 {
					again, lost := flags&1 != 0, flags&2 != 0
					superseded := newest.Epoch == "e" && newest.Sequence > 10
					counts := p != phaseNone && order.Epoch == "e"
					done := counts && (order.Sequence > 10 || order.Sequence == 10 && !(again && (p == phaseFailed || lost)))
					want := stepWork
					if superseded || done {
						want = stepNone
					}
					if got := begin(in, newest, outcome{phase: p, order: order, lost: lost}, again); got != want {
						t.Errorf("newest %v, previous %s at %v, again %v: %s, want %s", newest, p, order, again, got, want)
					}
				}
			}
		}
	}
}

func TestBySequence(t *testing.T) {
	e := func(epoch string, sequence, stored uint64) events.Event {
		return events.Event{Epoch: epoch, Sequence: sequence, Stored: stored}
	}
	// In this order, whatever order they are compared in.
	ordered := []events.Event{e("x", 90, 1), e("y", 3, 2), e("e", 1, 9), e("e", 2, 5), e("e", 2, 7), e("e", 3, 4)}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := bySequence(a, b, "e"); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%v against %v: %d", a, b, got)
			}
		}
	}
}

func TestSince(t *testing.T) {
	object := func(name, digest, commit string, sequence uint64) events.DeclaredObject {
		return events.DeclaredObject{Object: events.Object{Kind: "ConfigMap", Name: name}, Digest: digest, Since: events.Change{Commit: commit, Sequence: sequence}}
	}
	before := []events.DeclaredObject{object("same", "1", "old", 3), object("changed", "1", "old", 3), object("gone", "1", "old", 3), object("unknown", "1", "", 0)}
	this := events.Change{Commit: "new", Author: "a", Sequence: 10}
	for _, sameEpoch := range []bool{true, false} {
		objects := []events.DeclaredObject{object("same", "1", "", 0), object("changed", "2", "", 0), object("added", "1", "", 0), object("unknown", "1", "", 0)}
		since(objects, before, this, sameEpoch)
		var got []string
		for _, o := range objects {
			got = append(got, fmt.Sprintf("%s %s %d", o.Name, o.Since.Commit, o.Since.Sequence))
		}
		want := []string{"same old 3", "changed new 10", "added new 10", "unknown new 10"}
		if !sameEpoch {
			want[0] = "same old 0"
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("same epoch %v (-want +got):\n%s", sameEpoch, diff)
		}
	}
}
