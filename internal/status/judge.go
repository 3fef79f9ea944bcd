// SPDX-License-Identifier: Apache-2.0

package status

import (
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

func (v *View) status(w where) Status {
	f := v.applications[w]
	if f == nil {
		f = &facts{}
	}
	s := Status{Application: w.application, Cluster: w.cluster}
	f.describe(&s)
	f.judge(&s)
	f.diverge(&s)
	v.undeclare(&s, f)
	s.pipeline = s.State
	v.overlay(&s, f)
	return s
}

// describe fills in what the newest revision is.
func (f *facts) describe(s *Status) {
	if p, ok := f.observed.Data.(*events.CommitObserved); ok {
		s.Commit, s.Title, s.revision = p.Revision.Commit, p.Revision.Title, f.observed.Stored
		s.TraceID = traceID(f.observed.Traceparent)
	}
	if p, ok := f.completed.Data.(*events.ConvergenceCompleted); ok {
		s.Converged = &Convergence{Commit: p.Revision.Commit, Digest: p.Digest, When: f.completed.Time}
	}
	if p, ok := f.limited.Data.(*events.AuditLimited); ok && p.Count > 0 && len(p.Objects) > 0 {
		s.Unaudited, s.unaudited = p.Count, p.Objects[0].Message
	}
}

// judge finds the state of the newest revision: the furthest place that it
// has come to.
func (f *facts) judge(s *Status) {
	switch {
	case f.withdrawn.Stored > f.observed.Stored:
		f.judgeWithdrawn(s)
	case f.refused.Stored > f.observed.Stored:
		p := f.refused.Data.(*events.CommitRejected)
		s.set(Failed, p.Reason, "commit "+Short(p.Commit)+" was refused: "+p.Message, f.refused)
	case f.observed.Data == nil:
		s.set(Converging, "", "no commit of it was seen yet", f.last())
	case !same(f.manifests, f.observed):
		s.set(Converging, "", "waits for the renderer", f.observed)
	default:
		f.judgeManifests(s)
	}
}

func (f *facts) judgeWithdrawn(s *Status) {
	p := f.withdrawn.Data.(*events.ApplicationWithdrawn)
	if p.Outcome != events.ActionHeld {
		s.set(Withdrawn, p.Reason, or(p.Message, "no longer declared: its objects are "+string(p.Outcome)), f.withdrawn)
		return
	}
	if f.approved[p.Hold] > f.withdrawn.Stored {
		s.set(Converging, "", "its withdrawal is approved", f.withdrawn)
		return
	}
	s.hold(p.Hold, p.Objects)
	s.set(Held, p.Reason, or(p.Message, "no longer declared, and held"), f.withdrawn)
}

func (s *Status) hold(digest string, objects events.AppliedObjects) {
	s.Hold, s.HeldList = digest, objects.Blob
	if digest != "" {
		s.HeldCount = objects.Count
	}
	if objects.Blob == nil {
		s.Holds(objects.Items)
	}
}

// Holds gives s the list that HeldList names. Of a withdrawal that can't be ended
// it has those too that are gone or were passed on.
func (s *Status) Holds(list []events.AppliedObject) {
	s.HeldObjects, s.HeldList = nil, nil
	for _, o := range list {
		if o.Action == events.ActionHeld {
			s.HeldObjects = append(s.HeldObjects, o.Object)
		}
	}
	s.HeldCount = len(s.HeldObjects)
}

func (f *facts) judgeManifests(s *Status) {
	var m events.Manifests
	switch p := f.manifests.Data.(type) {
	case *events.RenderFailed:
		s.set(Failed, p.Reason, failureOf(f.manifests), f.manifests)
		return
	case *events.ManifestsRendered:
		m = p.Manifests
	case *events.ManifestsUnchanged:
		m = p.Manifests
	}
	s.Digest = m.Digest
	if m.Declaration.Converge.Mode == events.ModeObserve {
		s.set(Converged, "", "observed only: compared, never written", f.manifests)
		return
	}
	if f.holds(m.Digest) {
		p := f.held.Data.(*events.ConvergenceHeld)
		s.hold(p.Hold, p.Objects)
		s.set(Held, p.Reason, p.Message, f.held)
		return
	}
	f.judgeVerdict(s, m.Digest)
}

// holds reports whether a guard stands before the newest revision. What it
// keeps from being deleted keeps the revision from completing.
func (f *facts) holds(digest string) bool {
	p, ok := f.held.Data.(*events.ConvergenceHeld)
	return ok && p.Digest == digest && f.approved[p.Hold] < f.held.Stored && f.completed.Stored < f.held.Stored
}

// judgeVerdict reads the last convergence event. It speaks of the newest
// revision if it is of the same digest: what equals what has converged
// converges without an event.
func (f *facts) judgeVerdict(s *Status, digest string) {
	fresh := f.verdict.Stored > f.manifests.Stored
	switch p := f.verdict.Data.(type) {
	case *events.ConvergenceCompleted:
		if p.Digest == digest {
			s.set(Converged, "", "", f.verdict)
			return
		}
	case *events.ConvergenceDegraded:
		if p.Digest == digest {
			s.set(Degraded, p.Reason, p.Message, f.verdict)
			return
		}
	case *events.ConvergenceFailed:
		// An older refusal of the same digest is being tried again; what was
		// applied and is unhealthy is only watched.
		if p.Digest == digest && (fresh || p.Reason == events.ReasonUnhealthy) || same(f.verdict, f.observed) {
			s.set(Failed, p.Reason, failure(p), f.verdict)
			return
		}
	case *events.ConvergenceRolledBack:
		if p.From == digest {
			s.set(Failed, p.Reason, "went back to the last good bundle", f.verdict)
			return
		}
	case *events.ConvergenceApplied:
		if p.Digest == digest {
			s.set(Converging, "", "applied, waits for health", f.verdict)
			return
		}
	case *events.ConvergenceHeld:
		if p.Digest == digest {
			s.set(Converging, "", "approved", f.verdict)
			return
		}
	}
	s.set(Converging, "", "waits for the applier", f.manifests)
}

// diverge counts the open divergences and shows them in the state, unless
// there is worse.
func (f *facts) diverge(s *Status) {
	for key, e := range f.divergence {
		var d events.Divergence
		persisted := false
		switch p := e.Data.(type) {
		case *events.DivergenceDetected:
			d = p.Divergence
		case *events.DivergencePersisted:
			d, persisted = p.Divergence, true
		default:
			continue
		}
		open := Divergence{Key: key, Kind: d.Kind, Since: d.Since, Persisted: persisted, Message: d.Message}
		if d.Object != nil {
			open.Object = d.Object.String()
		}
		s.Divergences = append(s.Divergences, open)
	}
	slices.SortFunc(s.Divergences, func(a, b Divergence) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.Key, b.Key)
	})
	s.OpenDivergences = len(s.Divergences)
	if s.OpenDivergences == 0 {
		return
	}
	stalled := slices.ContainsFunc(s.Divergences, func(d Divergence) bool { return d.Kind == events.DivergenceStalled })
	if s.State == Converged || s.State == Converging && stalled {
		first := s.Divergences[0]
		s.set(Diverged, events.Reason(first.Kind), first.Message, f.divergence[first.Key])
	}
}

// overlay adds what is known of the application's repository and declaration.
func (v *View) overlay(s *Status, f *facts) {
	if s.State == Withdrawn {
		return
	}
	if e := v.refusal(*s); e.Data != nil && (s.State == Converged || s.State == Converging) {
		p := e.Data.(*events.FleetRejected)
		s.set(Held, p.Reason, "its declaration is invalid, what it declared before stays: "+problem(p), e)
	}
	for _, key := range sortedKeys(v.sources) {
		e := v.sources[key]
		p, out := e.Data.(*events.SourceUnreachable)
		if !out || !concerns(p, s, f) {
			continue
		}
		if s.State == Converged || f.observed.Data == nil && s.State == Converging {
			s.set(Unreachable, p.Reason, "repository "+p.Repository+": "+p.Message, e)
		}
	}
}

// concerns reports whether an outage is one of the application's repository,
// or of a ref that it follows.
func concerns(p *events.SourceUnreachable, s *Status, f *facts) bool {
	if slices.Contains(p.Applications, s.Application) {
		return true
	}
	c, ok := f.observed.Data.(*events.CommitObserved)
	if !ok || c.Declaration.Source.Repository != p.Repository {
		return false
	}
	return len(p.Refs) == 0 || slices.Contains(p.Refs, c.Revision.Ref)
}

// last is the newest of the facts that open an application's life.
func (f *facts) last() events.Event {
	e := f.observed
	for _, other := range []events.Event{f.refused, f.manifests, f.verdict} {
		newer(&e, other)
	}
	return e
}

// set puts the state and why it is so.
func (s *Status) set(state State, reason events.Reason, message string, why events.Event) {
	s.State, s.Reason, s.Message, s.Since = state, reason, message, why.Time
}

// same reports whether two events are of the same revision.
func same(a, b events.Event) bool {
	return a.Data != nil && b.Data != nil && a.Sequence == b.Sequence && a.Epoch == b.Epoch
}
