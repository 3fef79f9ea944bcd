// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// Progress is how far the newest revision of one application has come.
type Progress struct {
	Revision uint64    // its sequence; 0: none was seen
	Observed time.Time // when it was observed
	Rendered Milestone // the newest manifests.rendered or manifests.unchanged
	// Bundle is the sequence of the newest manifests.rendered: the revisions
	// from there to Rendered have one bundle.
	Bundle       uint64
	RenderFailed uint64 // sequence of the newest render.failed
	Applied      Milestone
	Completed    Milestone
	Failed       Milestone
	Held         Milestone
	Superseded   uint64
	Observe      bool // nothing is to be applied
	// InPlace says that live has every object of the newest bundle as Git
	// declares it.
	InPlace bool
	Timeout time.Duration
}

// Milestone is one event of a revision's way.
type Milestone struct {
	Sequence uint64 // 0: there was none
	Digest   string // of the bundle
	At       time.Time
}

// Stage is what a revision waits for.
type Stage string

const (
	StageRender Stage = "rendered"
	StageApply  Stage = "applied"
	StageHealth Stage = "healthy"
)

// maxGrace is how much longer than its timeout a revision whose objects are
// applied may take: the applier measures the same time, from a moment later,
// and says in an event of its own what is not healthy.
const maxGrace = 10 * time.Second

// stalled judges the newest revision: Differs if it has neither converged,
// failed nor been superseded within its timeout, counted from its last step;
// Same if it has; Wait, and until when, while there is time. A divergence that
// is open stays so while a newer revision still has time.
func stalled(p Progress, now time.Time) (v Verdict, stage Stage, wake time.Time) {
	if p.Revision == 0 {
		return Verdict{State: Wait}, "", time.Time{}
	}
	if done, how := p.done(); done {
		return Verdict{State: Same, Owned: true, How: how}, "", time.Time{}
	}
	stage, deadline := p.stage()
	if now.Before(deadline) {
		return Verdict{State: Wait}, stage, deadline
	}
	return Verdict{State: Differs, Kind: events.DivergenceStalled}, stage, time.Time{}
}

// done reports whether the newest revision is through.
func (p Progress) done() (done bool, how string) {
	if p.RenderFailed >= p.Revision || p.Superseded >= p.Revision {
		return true, Reported
	}
	if p.Rendered.Sequence < p.Revision {
		return false, ""
	}
	switch {
	case p.Observe, p.reached(p.Completed):
		return true, ""
	case p.reached(p.Failed) && !p.reachedAfter(p.Applied, p.Failed), p.reached(p.Held):
		return true, Reported
	case !p.reached(p.Applied) && p.InPlace:
		return true, "" // there already: the applier had nothing to do
	}
	return false, ""
}

// reached reports whether a milestone is of the newest bundle.
func (p Progress) reached(m Milestone) bool {
	return m.Sequence > 0 && m.Sequence >= p.Bundle && m.Digest == p.Rendered.Digest
}

// settled reports whether everything of the newest bundle was written that is
// to be written; a guard may still hold what is to be deleted.
func (p Progress) settled() bool {
	return p.reached(p.Applied) || p.reached(p.Completed) || p.reached(p.Held) && !p.reached(p.Failed)
}

func (p Progress) reachedAfter(m, before Milestone) bool {
	return p.reached(m) && m.Sequence > before.Sequence
}

func (p Progress) stage() (Stage, time.Time) {
	if p.Rendered.Sequence < p.Revision {
		return StageRender, p.Observed.Add(p.Timeout)
	}
	if p.reached(p.Applied) {
		return StageHealth, later(p.Rendered.At, p.Applied.At).Add(p.Timeout + min(p.Timeout/10, maxGrace))
	}
	return StageApply, later(p.Observed, p.Rendered.At).Add(p.Timeout)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
