// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/compare"
)

// Desired is what Git and the log say of one object.
type Desired struct {
	Object events.Object // with its namespace
	// Observe says that the application is never written to: its objects carry
	// neither label nor annotation of ours.
	Observe     bool
	Application string
	// Target is the object digest in Git's newest bundle; empty: Git does not
	// declare the object any more.
	Target string
	// Before is the object digest that was last applied; empty: none is known.
	Before string
	// Settled says that the newest bundle was applied as a whole: nothing but
	// Target is right. Until then what was applied before is right too.
	Settled bool
	// InPlace says that live was seen to have the newest bundle as a whole, of
	// which the applier has not said so. As a watch may be behind, that may have
	// been before another revision was written, and taken back.
	InPlace bool
	// Overdue says that the time to settle is over.
	Overdue bool
	// Learnt is the hash of our entry that the applier learnt, by object
	// digest.
	Learnt map[string]string
	// Wrote is the resourceVersion of the applier's last write of it; empty:
	// none is known.
	Wrote string
	Rules []events.IgnoreRule
}

// Live is what is known of the object in the cluster.
type Live struct {
	// Listed says that the object's kind is being watched and was listed:
	// only then does not seeing it say anything.
	Listed bool
	Exists bool // as far as the watch tells
	Gone   bool // a GET said so
	// Left is the resourceVersion at which it went; empty: not known.
	Left string
	Seen bool // this process has seen it exist
	Meta
	// Doubt counts writes since the digest or our entry last changed that may
	// have changed values under our name. First sight is one.
	Doubt int
	// Compared is the last comparison of bodies; nil: none.
	Compared *Comparison
}

// State is the outcome of assessing one object.
type State int

const (
	// Wait says that nothing can be said now: the object is on its way to what
	// Git declares, or its kind is not read yet.
	Wait State = iota
	// Look says that the body must be fetched and compared.
	Look
	// Same says that live has what Git declares.
	Same
	// Differs says that it has not.
	Differs
	// Undeclared says that Git doesn't declare the object.
	Undeclared
)

// Verdict is what assess says.
type Verdict struct {
	State State
	// Digest is what live was held against, or is to be compared with.
	Digest      string
	Kind        events.DivergenceKind
	Differences []Difference // that count
	Ignored     int          // differences that a rule takes out
	// Owned says that our entry owns every field that counts.
	Owned bool
	// How says how it was resolved where the rest doesn't tell.
	How string
	// At is the resourceVersion at which live was judged.
	At string
	// Undone is that of the applier's last write, where it is certain that
	// someone has undone it since; else empty.
	Undone string
}

// assess judges one object. It is pure: the same knowledge gives the same
// verdict.
func assess(d Desired, l Live) Verdict {
	v := weigh(d, l)
	if v.State == Differs {
		v.At, v.Undone = place(d, l), undone(d, l)
	}
	return v
}

// place is where in the cluster's history live was judged. An end that has no
// place there is after the applier's last write: absences are looked at anew
// when there is one.
func place(d Desired, l Live) string {
	switch {
	case l.Exists:
		return l.ResourceVersion
	case l.Left != "":
		return l.Left
	}
	return d.Wrote
}

// undone is the applier's last write if someone has undone it since: the
// object went after it, or is newer and lacks fields that our entry had by
// the write. A value written under our own name doesn't show so; nor would it
// tell an intruder from an admission webhook that changes whatever we write.
func undone(d Desired, l Live) string {
	learnt := d.Learnt[d.Target]
	switch {
	case d.Wrote == "":
		return ""
	case !l.Exists && l.Gone && (l.Left == "" || older(d.Wrote, l.Left)):
		return d.Wrote
	case l.Exists && older(d.Wrote, l.ResourceVersion) && (l.Deleting || learnt != "" && !l.Ours.sameFields(learnt)):
		return d.Wrote
	}
	return ""
}

func weigh(d Desired, l Live) Verdict {
	d.Settled = d.Settled || d.InPlace && !passing(d, l)
	switch {
	case d.Target == "":
		return Verdict{State: Undeclared}
	case !l.Listed:
		return Verdict{State: Wait}
	case !l.Exists || l.Deleting:
		return absent(d, l)
	}
	digest, wait := expected(d, l)
	if wait {
		return Verdict{State: Wait}
	}
	return present(d, l, digest)
}

// passing reports whether live is of a revision of ours that is not the newest.
func passing(d Desired, l Live) bool {
	return l.Exists && l.Annotated && l.Application == d.Application && l.Digest != "" && l.Digest != d.Target
}

// absent judges an object that the watch does not show.
func absent(d Desired, l Live) Verdict {
	if !d.Settled && !d.Observe && d.Before == "" {
		return Verdict{State: Wait} // about to be created
	}
	if !l.Gone && !l.Deleting {
		return Verdict{State: Look, Digest: d.Target} // it may only have left a filtered watch
	}
	if l.Seen {
		return Verdict{State: Differs, Kind: events.DivergenceDeleted}
	}
	return Verdict{State: Differs, Kind: events.DivergenceMissing}
}

// expected is the digest that live claims to have, or must have.
func expected(d Desired, l Live) (digest string, wait bool) {
	switch {
	case !d.Observe && !d.Settled && !d.Overdue && d.Before == "" && l.Application != d.Application:
		return "", true // about to be taken over: from another application, it may have the newest digest already
	case d.Observe || d.Settled || l.Digest == d.Target:
		return d.Target, false
	case l.Digest == d.Before && d.Before != "":
		return d.Before, false // the new revision hasn't reached it yet
	case d.Overdue:
		return d.Target, false
	case d.Before == "":
		return "", true // about to be adopted
	case l.Digest != "" && l.Annotated:
		return "", true // of a revision between the two, on its way to the newest
	}
	return d.Before, false
}

// present judges an object that is there, against one digest.
func present(d Desired, l Live, digest string) Verdict {
	c := l.Compared
	if c != nil && (c.Digest != digest || c.For != d.Application) {
		c = nil
	}
	if c != nil && c.Signature == l.Signature() && c.Doubt == l.Doubt {
		return compared(d, l, c)
	}
	// A comparison that our entry still vouches for holds although others
	// have written since: what they wrote was not ours. It doesn't where we
	// have: another digest of ours has other values and may have the same fields.
	if c != nil && c.Doubt == l.Doubt && c.Fields == l.Ours.Fields && c.Fields != "" && c.Claimed == l.Digest && c.Application == l.Application &&
		c.Whole(d.Rules, d.Object) && marked(d, l, digest) {
		return compared(d, l, c)
	}
	if l.Doubt == 0 && !d.Observe && marked(d, l, digest) && !overwritten(d, l, digest) {
		learnt := d.Learnt[digest]
		if l.Ours.sameFields(learnt) {
			return Verdict{State: Same, Digest: digest, Owned: true}
		}
		if learnt == "" && c == nil && !d.Settled && !d.Overdue {
			return Verdict{State: Wait} // just written; the applier is about to tell what it learnt
		}
	}
	return Verdict{State: Look, Digest: digest}
}

// overwritten reports whether the applier has written another digest since: the
// watch is behind the log.
func overwritten(d Desired, l Live, digest string) bool {
	return d.Wrote != "" && d.Before != digest && older(l.ResourceVersion, d.Wrote)
}

// marked reports whether the object carries our label and the digest.
func marked(d Desired, l Live, digest string) bool {
	return d.Observe || l.Application == d.Application && l.Digest == digest
}

// compared is the verdict of a comparison that still holds.
func compared(d Desired, l Live, c *Comparison) Verdict {
	count, left := compare.Counted(d.Rules, d.Object, c.Differences)
	v := Verdict{State: Same, Digest: c.Digest, Ignored: left, Owned: c.Whole(d.Rules, d.Object)}
	if len(count) > 0 {
		v.State, v.Kind, v.Differences = Differs, kindOf(count, l.Digest == "" || l.Digest == c.Digest), count
	}
	return v
}

// kindOf classifies differences by the weightiest of them. claimed says that
// live carries no other digest of ours than the one that it was held against:
// if it does, it is an older state that came back, from a backup or a stale
// process, and nobody wrote under our name.
func kindOf(differences []Difference, claimed bool) events.DivergenceKind {
	kind := events.DivergenceRemoved
	for _, d := range differences {
		if d.Ours && claimed {
			return events.DivergenceIntruded
		}
		if !d.Absent {
			kind = events.DivergenceChanged
		}
	}
	return kind
}

// Phase is how far a divergence has come.
type Phase int

const (
	Closed Phase = iota
	Detected
	Persisted
)

// Known is what the log says of one divergence: its last event.
type Known struct {
	Phase       Phase
	Last        uint64 // where that event is in the log; 0: there is none
	Divergence  events.Divergence
	Correlation string
	Trace       string // traceparent
}

// Step is the transition to publish.
type Step int

const (
	Keep Step = iota
	Detect
	Persist
	Resolve
)

// Transition is what becomes of one divergence, and when to ask again at the
// latest if nothing happens; zero: no need to.
type Transition struct {
	Step Step
	How  string
	Wake time.Time
}

// How a divergence was resolved.
const (
	Healed    = "healed"
	Reverted  = "reverted"
	Declared  = "declared"
	Ignored   = "ignored"
	Withdrawn = "withdrawn"
	Reported  = "reported" // a stalled revision failed after all, and an event says why
)

// advance decides the next transition of one divergence. One step at a time:
// detected, then persisted, then resolved, each once, as each is
// compare-and-set over the one before.
func advance(k Known, v Verdict, alertAfter time.Duration, now time.Time) Transition {
	switch v.State {
	case Differs:
		due := k.Divergence.Since.Add(alertAfter)
		switch {
		case k.Phase == Closed:
			return Transition{Step: Detect, Wake: now.Add(alertAfter)}
		case v.Undone != "" && older(k.Divergence.ResourceVersion, v.Undone):
			// It was put right, and changed again before that was seen: the
			// one divergence is over, and another one begins.
			return Transition{Step: Resolve, How: Healed, Wake: now}
		case k.Phase == Detected && !now.Before(due):
			return Transition{Step: Persist}
		case k.Phase == Detected:
			return Transition{Wake: due}
		}
	case Same, Undeclared:
		if k.Phase != Closed {
			return Transition{Step: Resolve, How: how(v)}
		}
	}
	return Transition{}
}

func how(v Verdict) string {
	switch {
	case v.How != "":
		return v.How
	case v.State == Undeclared:
		return Declared
	case v.Ignored > 0:
		return Ignored
	case v.Owned:
		return Healed
	}
	return Reverted
}
