// SPDX-License-Identifier: Apache-2.0

package status

import (
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// State is how an application stands.
type State string

// The states, the worst first: where several hold, the first is shown.
const (
	Failed      State = "failed"      // the newest revision can't be rendered, or the cluster refuses it
	Held        State = "held"        // something waits for an approval, or for a valid declaration
	Degraded    State = "degraded"    // it had converged, then lost its health
	Diverged    State = "diverged"    // live differs from Git
	Unreachable State = "unreachable" // its repository can't be read: nobody knows whether there is more
	Converging  State = "converging"  // the newest revision is on its way
	Converged   State = "converged"   // live equals the newest revision, and is healthy
	Withdrawn   State = "withdrawn"   // no longer declared; what there was is gone or left alone
)

// Status is how one application stands on one cluster.
type Status struct {
	Application string `json:"application"`
	Cluster     string `json:"cluster"`
	// Commit and Digest are those of the newest revision; Digest is empty
	// until it is rendered.
	Commit  string        `json:"commit"`
	Title   string        `json:"title,omitempty"` // first line of the commit's message
	Digest  string        `json:"digest"`
	State   State         `json:"state"`
	Reason  events.Reason `json:"reason"`
	Message string        `json:"message"`
	// OpenDivergences counts Divergences.
	OpenDivergences int       `json:"openDivergences"`
	TraceID         string    `json:"traceId"` // of the newest revision's trace
	Since           time.Time `json:"since"`   // when the event was that made the state
	// Converged is what the cluster last converged to; nil: nothing yet.
	Converged *Convergence `json:"converged,omitempty"`
	// Hold is the digest to approve; empty where nothing waits for approval.
	Hold string `json:"hold,omitempty"`
	// HeldCount counts the objects that are held: they wait for the approval,
	// or, where there is nothing to approve, can't be deleted. HeldObjects names
	// them where they are few; else a list of [events.AppliedObject] in HeldList
	// does.
	HeldCount   int             `json:"heldCount,omitempty"`
	HeldObjects []events.Object `json:"heldObjects,omitempty"`
	HeldList    *events.Blob    `json:"-"`
	// Divergences are the open ones, the oldest first.
	Divergences []Divergence `json:"divergences,omitempty"`

	// Unaudited counts the objects that the auditor may not compare, or not
	// wholly: that live equals Git is not known of them.
	Unaudited int `json:"unaudited,omitempty"`

	unaudited string // why the first of them is not
	// pipeline is the state without what says nothing of the newest
	// revision: an unreachable repository, an invalid declaration.
	pipeline State
	revision uint64 // where the newest revision is stored in the log
}

// WhyUnaudited says why the first of the unaudited objects is not compared.
func (s Status) WhyUnaudited() string { return s.unaudited }

// Convergence is a revision that converged.
type Convergence struct {
	Commit string    `json:"commit"`
	Digest string    `json:"digest"`
	When   time.Time `json:"when"`
}

// Divergence is an open divergence.
type Divergence struct {
	Key       string                `json:"key"`
	Kind      events.DivergenceKind `json:"kind"`
	Object    string                `json:"object,omitempty"` // empty for a stalled revision
	Since     time.Time             `json:"since"`
	Persisted bool                  `json:"persisted"` // older than the application's alertAfter
	Message   string                `json:"message"`
}
