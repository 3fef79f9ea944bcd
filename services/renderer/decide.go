// SPDX-License-Identifier: Apache-2.0

package renderer

import "github.com/plumbline-dev/plumbline/events"

// phase is what the log says of a revision's render.
type phase string

const (
	phaseNone      phase = "none"
	phaseRendered  phase = "rendered"
	phaseUnchanged phase = "unchanged"
	phaseFailed    phase = "failed"
)

// outcome is the last render of an application by sequence, or what one has
// come to now.
type outcome struct {
	phase  phase
	order  events.Order
	digest string   // of the bundle; empty for a failure
	failed *failure // nil but for a failure
	lost   bool     // what the event refers to is no longer stored
}

// step is what is to be done with a revision before anything is rendered.
type step string

const (
	stepNone step = "none" // it is superseded, or has its outcome
	stepWork step = "work"
)

// begin decides whether a revision is worth any work. newest is the last
// commit.observed of the application, previous its last outcome. again is set
// by a resync: an outcome that is a failure, or whose bundle was lost, is
// tried once more.
func begin(in events.Order, newest events.Order, previous outcome, again bool) step {
	if newest.Epoch == in.Epoch && newest.Sequence > in.Sequence {
		return stepNone
	}
	if previous.phase == phaseNone || previous.order.Epoch != in.Epoch {
		return stepWork
	}
	switch {
	case previous.order.Sequence > in.Sequence:
		return stepNone
	case previous.order.Sequence == in.Sequence && !(again && (previous.phase == phaseFailed || previous.lost)):
		return stepNone
	}
	return stepWork
}

// verdict is which event a revision gets.
type verdict struct {
	phase phase // phaseNone: no event
	// recoveredFrom is the sequence of the failure that a good render ends.
	recoveredFrom uint64
}

// decide chooses the event for what a revision has come to. An outcome of
// another epoch says nothing about what came before in this one: it counts as
// none, so that a new life of the log begins with manifests.rendered.
//
//	previous           now          event
//	none               bundle       rendered
//	none               failure      failed
//	bundle             same bundle  unchanged
//	bundle             other bundle rendered
//	bundle             failure      failed
//	failure            bundle       rendered, recovered
//	failure            failure      failed
//	the same revision  same         no event (only after a resync)
//	the same, lost     same bundle  rendered (the same)
//	a newer revision   any          no event
func decide(in events.Order, previous, now outcome) verdict {
	if previous.phase == phaseNone || previous.order.Epoch != in.Epoch {
		previous = outcome{phase: phaseNone}
	}
	if previous.order.Sequence > in.Sequence {
		return verdict{phase: phaseNone}
	}
	same := previous.phase != phaseNone && previous.order.Sequence == in.Sequence
	if now.failed != nil {
		if same && previous.failed != nil && previous.failed.equal(now.failed) {
			return verdict{phase: phaseNone}
		}
		return verdict{phase: phaseFailed}
	}
	switch {
	case previous.phase == phaseFailed:
		return verdict{phase: phaseRendered, recoveredFrom: previous.order.Sequence}
	case previous.phase == phaseNone || previous.digest != now.digest:
		return verdict{phase: phaseRendered}
	case same && previous.lost:
		return verdict{phase: phaseRendered}
	case same:
		return verdict{phase: phaseNone}
	}
	return verdict{phase: phaseUnchanged}
}

// equal reports whether two failures say the same.
func (f *failure) equal(g *failure) bool {
	return f.Reason == g.Reason && f.Message == g.Message && f.File == g.File && f.Line == g.Line
}

// since says of each object in which revision its digest last changed: what
// was said before where the digest is the same, else this change. A sequence
// of another epoch means nothing in this one and is left out.
func since(objects, before []events.DeclaredObject, this events.Change, sameEpoch bool) {
	was := make(map[string]events.DeclaredObject, len(before))
	for _, o := range before {
		was[o.Key()] = o
	}
	for i := range objects {
		objects[i].Since = this
		o, ok := was[objects[i].Key()]
		if !ok || o.Digest != objects[i].Digest || o.Since.Commit == "" {
			continue
		}
		objects[i].Since = o.Since
		if !sameEpoch {
			objects[i].Since.Sequence = 0
		}
	}
}
