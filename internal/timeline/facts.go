// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// facts are the events of one revision, in the order of the log.
type facts struct {
	observed, refused events.Event
	all               []events.Event
	approved          events.Event // the approval of what is held of it
}

func (f *facts) add(e events.Event) {
	switch e.Data.(type) {
	case *events.CommitObserved:
		f.observed = e
	case *events.CommitRejected:
		f.refused = e
	}
	f.all = append(f.all, e)
}

// describe fills in which revision it is, from the first event that knows.
func (r *Revision) describe() {
	first := r.facts.all[0]
	r.Observed = started(first)
	r.Partial = r.facts.observed.Data == nil && r.facts.refused.Data == nil
	for _, e := range r.facts.all {
		if r.TraceID == "" {
			r.TraceID = traceID(e.Traceparent)
		}
		if m := manifestsOf(e); m != nil {
			r.Digest = m.Digest
		}
	}
	if p, ok := first.Data.(*events.CommitRejected); ok {
		r.Commit, r.Ref, r.Author = p.Commit, p.Ref, p.Author.Name
		return
	}
	v := revisionOf(first)
	r.Commit, r.Ref, r.Title, r.Author, r.Cause, r.Trigger = v.Commit, v.Ref, v.Title, v.Author.Name, v.Cause, v.Trigger
}

// approve gives each revision the approval of what is held of it.
func approve(revisions []*Revision, all []events.Event) {
	for _, e := range all {
		p, ok := e.Data.(*events.ApprovalGiven)
		if !ok {
			continue
		}
		for _, r := range revisions {
			for _, held := range r.facts.all {
				if h, ok := held.Data.(*events.ConvergenceHeld); ok && h.Hold == p.Hold && held.Cluster == e.Cluster && held.Application == e.Application && held.Stored < e.Stored {
					r.facts.approved = e
				}
			}
		}
	}
}

// revisionOf is the revision that an event is about.
func revisionOf(e events.Event) events.Revision {
	switch p := e.Data.(type) {
	case *events.CommitObserved:
		return p.Revision
	case *events.RenderFailed:
		return p.Revision
	}
	if m := manifestsOf(e); m != nil {
		return m.Revision
	}
	if c := convergingOf(e); c != nil {
		return c.Revision
	}
	return events.Revision{}
}

func manifestsOf(e events.Event) *events.Manifests {
	switch p := e.Data.(type) {
	case *events.ManifestsRendered:
		return &p.Manifests
	case *events.ManifestsUnchanged:
		return &p.Manifests
	}
	return nil
}

func convergingOf(e events.Event) *events.Converging {
	switch p := e.Data.(type) {
	case *events.ConvergenceApplied:
		return &p.Converging
	case *events.ConvergenceCompleted:
		return &p.Converging
	case *events.ConvergenceFailed:
		return &p.Converging
	case *events.ConvergenceDegraded:
		return &p.Converging
	case *events.ConvergenceHeld:
		return &p.Converging
	case *events.ConvergenceSuperseded:
		return &p.Converging
	case *events.ConvergenceRolledBack:
		return &p.Converging
	}
	return nil
}

// started and ended are the times of the work that led to an event; one that
// carries no stage has its own.
func started(e events.Event) time.Time {
	if e.StageStart.IsZero() {
		return e.Time
	}
	return e.StageStart
}

func ended(e events.Event) time.Time {
	if e.StageEnd.IsZero() {
		return e.Time
	}
	return e.StageEnd
}

// service is who published an event, as watcher or applier/local.
func service(e events.Event) string { return strings.TrimPrefix(e.Source, "plumbline://") }

// traceID is the second field of a W3C traceparent, or "".
func traceID(traceparent string) string {
	fields := strings.Split(traceparent, "-")
	if len(fields) < 4 {
		return ""
	}
	return fields[1]
}
