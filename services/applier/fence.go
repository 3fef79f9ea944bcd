// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"slices"

	"github.com/plumbline-dev/plumbline/events"
)

// retiredEpochs is how many lives of the log before the present one a fence
// remembers.
const retiredEpochs = 8

// Fence is the newest revision that an application was driven to. It is kept
// in the cluster and never goes down.
type Fence struct {
	Epoch    string `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	// Digest is the bundle's, Declaration that of the application's
	// declaration.
	Digest      string `json:"digest"`
	Declaration string `json:"declaration"`
	// Retired are the epochs before Epoch, the latest first.
	Retired []string `json:"retired,omitempty"`
	// Compared says that in this epoch, and since the inventory was last
	// rebuilt, every object of a whole bundle was written or seen to be in
	// order: before that nothing is pruned.
	Compared bool `json:"compared,omitempty"`
	// Applied says that every object of Digest was accepted, and that
	// everything that had to go is gone or held.
	Applied bool `json:"applied,omitempty"`
}

// equal reports whether two fences say the same.
func (f Fence) equal(other Fence) bool {
	return f.Order() == other.Order() && f.Digest == other.Digest && f.Declaration == other.Declaration &&
		f.Compared == other.Compared && f.Applied == other.Applied && slices.Equal(f.Retired, other.Retired)
}

// Order is the place of the fence among the revisions.
func (f Fence) Order() events.Order { return events.Order{Epoch: f.Epoch, Sequence: f.Sequence} }

// Admission is the answer of a fence to a revision.
type Admission struct {
	OK bool
	// By is the sequence of the revision that supersedes it; 0 where that is
	// of another life of the log.
	By uint64
	// NewLog says that the revision is the first one of a new life of the log.
	NewLog bool
}

// Admit decides whether a revision may be applied. Current is the bus's epoch
// now, newest the highest revision among the application's last
// manifests.rendered, manifests.unchanged and render.failed.
//
// Epochs have no order: one that was retired stays superseded for ever, one
// that the fence doesn't know is accepted only if it is the bus's own.
func (f Fence) Admit(order events.Order, current string, newest events.Order) Admission {
	switch {
	case order.Epoch == f.Epoch:
		if order.Sequence < f.Sequence {
			return Admission{By: f.Sequence}
		}
	case slices.Contains(f.Retired, order.Epoch), order.Epoch != current:
		return Admission{}
	}
	switch {
	case newest.Epoch == order.Epoch && newest.Sequence > order.Sequence:
		return Admission{By: newest.Sequence}
	case newest.Epoch == current && order.Epoch != current: // the fence's log is gone, and the new one has a revision
		return Admission{}
	}
	return Admission{OK: true, NewLog: f.Epoch != "" && order.Epoch != f.Epoch}
}

// Advance is the fence after a revision was admitted.
func (f Fence) Advance(order events.Order, digest, declaration string) Fence {
	next := Fence{
		Epoch: order.Epoch, Sequence: order.Sequence, Digest: digest, Declaration: declaration,
		Retired: slices.Clone(f.Retired), Compared: f.Compared,
	}
	if f.Epoch != "" && f.Epoch != order.Epoch {
		next.Retired = append([]string{f.Epoch}, f.Retired...)
		next.Retired = next.Retired[:min(len(next.Retired), retiredEpochs)]
		next.Compared = false
	}
	return next
}
