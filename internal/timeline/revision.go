// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// Outcome is how a revision ended.
type Outcome string

// The outcomes.
const (
	Converged  Outcome = "converged"   // applied and healthy
	Unchanged  Outcome = "unchanged"   // its bundle equals that of the revision before it
	Failed     Outcome = "failed"      // refused, not rendered, not applied or not healthy: see Reason
	Held       Outcome = "held"        // it waits for an approval
	Superseded Outcome = "superseded"  // a newer revision came first
	Compared   Outcome = "compared"    // its application is only observed: compared, never written
	InProgress Outcome = "in progress" // it is on its way
	Unknown    Outcome = "unknown"     // the log no longer keeps how it ended
)

// Revision is the life of one revision of one application on one cluster.
type Revision struct {
	Application string `json:"application"`
	Cluster     string `json:"cluster"`
	Commit      string `json:"commit"`
	Title       string `json:"title,omitempty"`   // first line of the commit's message
	Author      string `json:"author,omitempty"`  // by name, as the commit claims
	Ref         string `json:"ref,omitempty"`     // fully qualified
	Cause       string `json:"cause,omitempty"`   // commit | declaration | log
	Trigger     string `json:"trigger,omitempty"` // who saw it: poll | webhook | sync | start
	TraceID     string `json:"traceId,omitempty"`
	Digest      string `json:"digest,omitempty"` // of the bundle; empty until it is rendered
	Epoch       string `json:"epoch"`
	Sequence    uint64 `json:"sequence"` // 0 for a commit that was refused
	// Observed is when the watcher began to see it; where the log no longer
	// keeps that, when the first event that it keeps was.
	Observed time.Time `json:"observed"`
	// Partial says that the log no longer keeps its commit.observed.
	Partial bool    `json:"partial,omitempty"`
	Outcome Outcome `json:"outcome"`
	// Reason and Message say why, where it failed or is held.
	Reason  events.Reason `json:"reason,omitempty"`
	Message string        `json:"message,omitempty"`
	// Took is the time from Observed to the outcome; nil where it is not over,
	// or the end is not known.
	Took *events.Duration `json:"took,omitempty"`
	// By is the commit of the revision that superseded it.
	By     string  `json:"by,omitempty"`
	Stages []Stage `json:"stages"`
	// Later are the stages that a converged revision came to afterwards: health
	// lost, an apply that was refused.
	Later []Stage `json:"later,omitempty"`
	// Divergences are those from this revision, the oldest first.
	Divergences []Divergence `json:"divergences,omitempty"`

	began uint64 // where its first event is stored
	facts facts
}

// End is when its outcome came, the zero time where there is none yet.
func (r *Revision) End() time.Time {
	if r.Took == nil {
		return time.Time{}
	}
	return r.Observed.Add(r.Took.Std())
}

// StageName names a part of a revision's way.
type StageName string

// The stages, in the order in which they come.
const (
	Observe   StageName = "observe"   // the watcher fetches, verifies and stores the source
	Render    StageName = "render"    // the renderer makes the bundle
	Apply     StageName = "apply"     // the applier writes to the API server
	Hold      StageName = "hold"      // it waits for an approval
	Health    StageName = "health"    // the cluster makes it healthy
	Rollback  StageName = "rollback"  // the last good bundle was applied again
	Supersede StageName = "supersede" // it was left out
)

// Stage is one part of a revision's way, by its times in the events.
type Stage struct {
	Name    StageName `json:"stage"`
	Service string    `json:"service"` // that says so: watcher, applier/local
	Start   time.Time `json:"start"`
	End     time.Time `json:"end,omitzero"` // zero: it is not over
	Failed  bool      `json:"failed,omitempty"`
	// Reason, Message and Failures say why it failed, or waits.
	Reason   events.Reason `json:"reason,omitempty"`
	Message  string        `json:"message,omitempty"`
	Failures []Failure     `json:"failures,omitempty"`
	Hold     string        `json:"hold,omitempty"` // the digest to approve
	Work     Work          `json:"work,omitzero"`
	Event    string        `json:"event,omitempty"` // id of the event that ended it
}

// Failure is one object, or place in Git, at fault.
type Failure struct {
	Object  string `json:"object,omitempty"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"` // 1-based; 0: unknown
	Message string `json:"message"`
}

// Work is how much a stage did, as far as its event tells.
type Work struct {
	Bytes    int64          `json:"bytes,omitempty"`    // of the source, or the bundle
	Objects  int            `json:"objects,omitempty"`  // in the bundle
	Paths    int            `json:"paths,omitempty"`    // read to render it
	Cached   bool           `json:"cached,omitempty"`   // nothing had to be rendered
	Requests int            `json:"requests,omitempty"` // to the API server
	Counts   *events.Counts `json:"counts,omitempty"`   // objects by what was done to them
}

// Divergence is a difference between Git and live after a revision converged.
type Divergence struct {
	Key       string                `json:"key"`
	Kind      events.DivergenceKind `json:"kind"`
	Object    string                `json:"object,omitempty"` // empty for a stalled revision
	Since     time.Time             `json:"since"`
	Detected  time.Time             `json:"detected"`
	Persisted bool                  `json:"persisted,omitempty"` // older than the application's alertAfter
	Resolved  time.Time             `json:"resolved,omitzero"`   // zero: it is open
	How       string                `json:"how,omitempty"`       // healed | reverted | declared | ...
	After     *events.Duration      `json:"after,omitempty"`     // how long it lasted
	TraceID   string                `json:"traceId,omitempty"`
	Message   string                `json:"message"`
	Writer    string                `json:"writer,omitempty"` // the manager that the API server recorded
	File      string                `json:"file,omitempty"`
	Line      int                   `json:"line,omitempty"`
	// Heals are the applies that it led to.
	Heals []Stage `json:"heals,omitempty"`

	// Said is what the auditor published.
	Said events.Divergence `json:"-"`
}
