// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"slices"
)

// Violation is a broken promise.
type Violation struct {
	Invariant string `json:"invariant"` // I1 to I8
	Fault     string `json:"fault,omitempty"`
	Row       string `json:"row,omitempty"`
	Round     int    `json:"round"`
	Text      string `json:"text"`
}

func (v Violation) String() string {
	return fmt.Sprintf("%s in round %d (%s %s): %s", v.Invariant, v.Round, v.Row, v.Fault, v.Text)
}

// Check decides the invariants over a history. It is pure.
//
//	I1 no loss: at rest, live is what Git's newest commit declares that can be rendered
//	I2 what is applied never goes down, and is that of the fence
//	I3 nothing is written that was right
//	I4 what is deleted was owned, is no longer declared, and stands behind no guard
//	I5 each revision that was observed came to something, or a newer one was observed; a denied deletion was told
//	I6 no secret is found outside the cluster
//	I8 a divergence is told once, and once that it is over; people have one thread of each incident
//
// I7, that one application's trouble is not another's, is a question of time
// and decided where there are enough of them, over all seeds of a soak: see
// [Isolate].
func Check(h History) []Violation {
	var all []Violation
	for _, check := range []func(History) []finding{
		checkLoss, checkFence, checkContent, checkNeedless, checkDeletes, checkAccounts, checkDenials, checkLeaks, checkDivergences, checkDifferences, checkAlerts,
	} {
		for _, f := range check(h) {
			all = append(all, f.violation(h))
		}
	}
	return all
}

// finding is a violation at a place in a history.
type finding struct {
	invariant string
	at        int // index of the record
	text      string
}

// violation names the fault in whose round a finding lies.
func (f finding) violation(h History) Violation {
	v := Violation{Invariant: f.invariant, Text: f.text}
	for _, r := range slices.Backward(h[:min(f.at+1, len(h))]) {
		if run := r.Begun; run != nil {
			v.Fault, v.Row, v.Round = run.Name, run.Row, run.Round
			return v
		}
	}
	return v
}
