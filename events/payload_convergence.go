// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// Converging is what every convergence event says of what is converged.
type Converging struct {
	Revision Revision `json:"revision"`
	Digest   string   `json:"digest"` // of the bundle
	// Cause is why it was done: revision | heal | resync | approval.
	Cause string `json:"cause"`
}

// Counts counts objects by what was done to them.
type Counts struct {
	Created    int `json:"created"`    // that were not there
	Configured int `json:"configured"` // that were there, and were changed
	Adopted    int `json:"adopted"`    // that were there, and were not Plumbline's
	Unchanged  int `json:"unchanged"`  // that were as they should be
	Pruned     int `json:"pruned"`     // that were deleted: they are no longer in Git
}

// ConvergenceApplied says that the API server accepted every object. Where that took
// several tries of one applier, as something failed or took long to go, it counts and
// lists what all of them did.
type ConvergenceApplied struct {
	Converging
	Counts  Counts         `json:"counts"`
	Objects AppliedObjects `json:"objects"`
	// Requests is the number of API requests that it took.
	Requests int `json:"requests"`
}

// ConvergenceCompleted says that every object is applied and healthy.
type ConvergenceCompleted struct {
	Converging
	Counts Counts `json:"counts"`
	// After is the time from the revision's observation.
	After Duration `json:"after"`
}

// ConvergenceFailed says why a revision did not converge.
type ConvergenceFailed struct {
	Converging
	Reason  Reason `json:"reason"`
	Message string `json:"message"` // for people
	// Failures are the objects at fault, at most [MaxInline] of them; Failed
	// counts them all.
	Failures []ObjectFailure `json:"failures,omitempty"`
	Failed   int             `json:"failed"` // how many objects are at fault
	// After is the time from the revision's observation, where that is known.
	After Duration `json:"after,omitempty"`
}

// ObjectFailure is why one object did not converge.
type ObjectFailure struct {
	Object
	APIReason string `json:"apiReason,omitempty"` // metav1.StatusReason, as the API server gave it
	Message   string `json:"message"`             // for people
	File      string `json:"file,omitempty"`      // that declares it
	Line      int    `json:"line,omitempty"`      // of its declaration, 1-based; 0: unknown
}

// ConvergenceDegraded says that a converged application lost its health.
type ConvergenceDegraded struct {
	Converging
	Reason   Reason          `json:"reason"`
	Message  string          `json:"message"` // for people
	Failures []ObjectFailure `json:"failures,omitempty"`
}

// ConvergenceHeld says what waits for an approval.
type ConvergenceHeld struct {
	Converging
	Reason  Reason `json:"reason"`
	Message string `json:"message"` // for people
	// Hold is the digest to approve: sha256:<hex> over the bundle's digest
	// and Objects.
	Hold    string         `json:"hold"`
	Objects AppliedObjects `json:"objects"`
}

// ConvergenceSuperseded says that a revision was left out for a newer one.
type ConvergenceSuperseded struct {
	Converging
	By uint64 `json:"by"` // sequence of the newer revision; 0: of another life of the log
}

// ConvergenceRolledBack says that the last good bundle was applied again.
type ConvergenceRolledBack struct {
	Converging
	From   string `json:"from"` // digest of the bundle that was left
	Reason Reason `json:"reason"`
}

// ApplicationWithdrawn says what became of the objects of an application that
// is no longer declared.
type ApplicationWithdrawn struct {
	Outcome Action         `json:"outcome"` // pruned | orphaned | held
	Reason  Reason         `json:"reason,omitempty"`
	Message string         `json:"message,omitempty"` // for people
	Hold    string         `json:"hold,omitempty"`    // the digest to approve, where held
	Fleet   string         `json:"fleet"`             // commit of the fleet whose list lacks it
	Objects AppliedObjects `json:"objects"`
	Since   time.Time      `json:"since"` // when it was first seen to be declared no more
}

func (*ConvergenceApplied) payload()    {}
func (*ConvergenceCompleted) payload()  {}
func (*ConvergenceFailed) payload()     {}
func (*ConvergenceDegraded) payload()   {}
func (*ConvergenceHeld) payload()       {}
func (*ConvergenceSuperseded) payload() {}
func (*ConvergenceRolledBack) payload() {}
func (*ApplicationWithdrawn) payload()  {}
