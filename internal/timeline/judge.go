// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"fmt"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// judge walks through the events of a revision and finds its stages and how
// it ended. newer is the next revision of the application, nil for the newest.
func (r *Revision) judge(newer *Revision, h horizons) {
	w := walk{Revision: r}
	r.Outcome = InProgress
	for _, e := range r.facts.all {
		if c := convergingOf(e); c != nil {
			w.converging(e, c)
		} else {
			w.manifests(e)
		}
	}
	w.held()
	if newer != nil && (r.Outcome == InProgress || r.Outcome == Held) {
		if h.forgotten(r) {
			w.set(Unknown, "", "the log no longer keeps how it ended", time.Time{})
		} else {
			message := "a newer revision came"
			if r.Outcome == Held {
				message += " while it was held: " + r.Message
			}
			w.set(Superseded, "", message, time.Time{})
		}
		w.leave(newer.Observed)
	}
	if newer != nil && r.Outcome == Superseded {
		r.By = newer.Commit
	}
	if r.Outcome == InProgress {
		w.wait()
	}
	if !w.end.IsZero() && !r.Partial {
		took := events.Duration(max(0, w.end.Sub(r.Observed)))
		r.Took = &took
	}
}

// walk is one pass over the events of a revision.
type walk struct {
	*Revision
	from time.Time // the end of the last stage: where waiting begins
	end  time.Time // of the outcome
	over bool      // it has converged
}

func (w *walk) set(o Outcome, reason events.Reason, message string, end time.Time) {
	w.Outcome, w.Reason, w.Message, w.end = o, reason, message, end
}

// stage adds a stage that e is the end of.
func (w *walk) stage(name StageName, e events.Event) *Stage {
	w.from = ended(e)
	w.Stages = append(w.Stages, stageOf(name, e))
	return &w.Stages[len(w.Stages)-1]
}

func stageOf(name StageName, e events.Event) Stage {
	return Stage{Name: name, Service: service(e), Start: started(e), End: ended(e), Event: e.ID}
}

// manifests takes the events up to the bundle.
func (w *walk) manifests(e events.Event) {
	switch p := e.Data.(type) {
	case *events.CommitObserved:
		w.stage(Observe, e).Work = Work{Bytes: p.Source.Size}
	case *events.CommitRejected:
		w.stage(Observe, e).fail(p.Reason, p.Message, nil)
		w.set(Failed, p.Reason, p.Message, ended(e))
	case *events.ManifestsRendered:
		w.stage(Render, e).Work = rendered(&p.Manifests, p.Cached)
		w.set(InProgress, "", "", time.Time{})
		if p.Declaration.Converge.Mode == events.ModeObserve {
			w.set(Compared, "", "", ended(e))
		}
	case *events.ManifestsUnchanged:
		w.stage(Render, e).Work = rendered(&p.Manifests, !p.Rendered)
		w.set(Unchanged, "", "", ended(e))
	case *events.RenderFailed:
		f := Failure{File: p.File, Line: p.Line, Message: p.Message}
		if p.Object != nil {
			f.Object = p.Object.String()
		}
		w.stage(Render, e).fail(p.Reason, p.Message, []Failure{f})
		w.set(Failed, p.Reason, at(p.File, p.Line)+p.Message, ended(e))
	}
}

func rendered(m *events.Manifests, cached bool) Work {
	return Work{Bytes: m.Bundle.Size, Objects: m.Objects.Count, Paths: m.ReadSet.Paths, Cached: cached}
}

// converging takes what the applier says. What heals belongs to its
// divergence; it ends a revision that has not converged yet.
func (w *walk) converging(e events.Event, c *events.Converging) {
	if w.over || w.Outcome == Unchanged && c.Cause != "revision" && c.Cause != "approval" {
		w.afterwards(e, c)
		return
	}
	switch p := e.Data.(type) {
	case *events.ConvergenceApplied:
		w.stage(Apply, e).Work = applied(p)
		if w.Outcome != Held {
			w.set(InProgress, "", "", time.Time{})
		}
	case *events.ConvergenceFailed:
		w.failed(e, p)
	case *events.ConvergenceHeld:
		w.hold(e, p)
	case *events.ConvergenceSuperseded:
		w.stage(Supersede, e)
		w.set(Superseded, "", "a newer revision came", ended(e))
	case *events.ConvergenceRolledBack:
		const message = "went back to the last good bundle"
		w.stage(Rollback, e).fail(p.Reason, message, nil)
		if w.Outcome != Failed {
			w.set(Failed, p.Reason, message, ended(e))
		}
	case *events.ConvergenceCompleted:
		from := w.from
		s := w.stage(Health, e)
		s.Start = earlier(from, s.End)
		w.set(Converged, "", "", s.End)
		w.over = true
	}
}

func applied(p *events.ConvergenceApplied) Work {
	counts := p.Counts
	return Work{Objects: p.Objects.Count, Requests: p.Requests, Counts: &counts}
}

func (w *walk) failed(e events.Event, p *events.ConvergenceFailed) {
	name, from := Apply, w.from
	if p.Reason == events.ReasonUnhealthy {
		name = Health
	}
	s := w.stage(name, e)
	if name == Health {
		s.Start = earlier(from, s.End)
	}
	s.fail(p.Reason, p.Message, failures(p.Failures))
	text := p.Message
	if len(p.Failures) > 0 && p.Failures[0].File != "" {
		text = at(p.Failures[0].File, p.Failures[0].Line) + text
	}
	w.set(Failed, p.Reason, text, ended(e))
}

// hold is said again at each resync: only the first of one guard counts.
func (w *walk) hold(e events.Event, p *events.ConvergenceHeld) {
	w.set(Held, p.Reason, p.Message, time.Time{})
	if n := len(w.Stages); n > 0 && w.Stages[n-1].Name == Hold {
		return
	}
	s := stageOf(Hold, e)
	s.Start, s.End, s.Reason, s.Message, s.Hold = ended(e), time.Time{}, p.Reason, p.Message, p.Hold
	w.Stages = append(w.Stages, s)
}

// held ends the stage in which something waited for an approval, where that
// came or the revision converged.
func (w *walk) held() {
	for i := range w.Stages {
		s := &w.Stages[i]
		if s.Name != Hold {
			continue
		}
		switch approved := w.facts.approved; {
		case approved.Data != nil:
			s.End = approved.Time
			if w.Outcome == Held {
				w.set(InProgress, "", "", time.Time{})
			}
		case w.over:
			s.End = w.end
		}
	}
}

// leave ends what a newer revision took the place of.
func (w *walk) leave(end time.Time) {
	for i := range w.Stages {
		if s := &w.Stages[i]; s.End.IsZero() {
			s.End = later(s.Start, end)
		}
	}
}

// afterwards takes what came after a revision had converged.
func (w *walk) afterwards(e events.Event, c *events.Converging) {
	switch p := e.Data.(type) {
	case *events.ConvergenceDegraded:
		w.Later = append(w.Later, stageOf(Health, e))
		w.Later[len(w.Later)-1].fail(p.Reason, p.Message, failures(p.Failures))
	case *events.ConvergenceFailed:
		if c.Cause != "heal" {
			w.Later = append(w.Later, stageOf(Apply, e))
			w.Later[len(w.Later)-1].fail(p.Reason, p.Message, failures(p.Failures))
		}
	case *events.ConvergenceHeld:
		s := stageOf(Hold, e)
		s.Reason, s.Message, s.Hold = p.Reason, p.Message, p.Hold
		w.Later = append(w.Later, s)
	case *events.ConvergenceCompleted:
		if n := len(w.Later); n > 0 && w.Later[n-1].Failed {
			w.Later = append(w.Later, stageOf(Health, e))
		}
	case *events.ConvergenceApplied:
		if c.Cause != "heal" && p.Requests > 0 {
			s := stageOf(Apply, e)
			s.Work, s.Message = applied(p), c.Cause
			w.Later = append(w.Later, s)
		}
	}
}

// wait adds the stage that a revision is in.
func (w *walk) wait() {
	if len(w.Stages) == 0 {
		return
	}
	name, who := Health, "applier/"+w.Cluster
	switch last := w.Stages[len(w.Stages)-1]; {
	case last.Name == Observe:
		name, who = Render, "renderer"
	case last.Name == Render, last.Failed, last.Name == Hold:
		name = Apply
	}
	w.Stages = append(w.Stages, Stage{Name: name, Service: who, Start: w.from})
}

func (s *Stage) fail(reason events.Reason, message string, all []Failure) {
	s.Failed, s.Reason, s.Message, s.Failures = true, reason, message, all
}

func failures(all []events.ObjectFailure) []Failure {
	var out []Failure
	for _, f := range all {
		out = append(out, Failure{Object: f.Object.String(), File: f.File, Line: f.Line, Message: f.Message})
	}
	return out
}

// earlier is a, if it is known and before b, else b: clocks differ.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || a.After(b) {
		return b
	}
	return a
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// at is "file:line: ", as far as it is known.
func at(file string, line int) string {
	switch {
	case file == "":
		return ""
	case line == 0:
		return file + ": "
	}
	return fmt.Sprintf("%s:%d: ", file, line)
}
