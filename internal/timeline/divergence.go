// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// divergences is the pass over the events of divergences and of what heals
// them, in the order of the log.
type divergences struct {
	open    map[string]*Divergence // by cluster, application and key
	byEvent map[string]*Divergence // by the id of an event that told of it
	of      map[*Divergence]*Revision
	all     []*Divergence
}

// diverge gives each revision the divergences from it.
func diverge(revisions []*Revision, all []events.Event) {
	d := divergences{open: map[string]*Divergence{}, byEvent: map[string]*Divergence{}, of: map[*Divergence]*Revision{}}
	for _, e := range all {
		switch p := e.Data.(type) {
		case *events.DivergenceDetected:
			d.tell(revisions, e, p.Divergence)
		case *events.DivergencePersisted:
			d.tell(revisions, e, p.Divergence).Persisted = true
		case *events.DivergenceResolved:
			one := d.tell(revisions, e, p.Divergence)
			after := p.After
			one.Resolved, one.How, one.After = ended(e), p.How, &after
			one.Persisted = one.Persisted || p.Persisted
			delete(d.open, nameOf(e))
		case *events.ConvergenceApplied:
			if p.Cause == "heal" {
				s := stageOf(Apply, e)
				s.Work = applied(p)
				d.heal(e, s)
			}
		case *events.ConvergenceFailed:
			if p.Cause == "heal" {
				s := stageOf(Apply, e)
				s.fail(p.Reason, p.Message, failures(p.Failures))
				d.heal(e, s)
			}
		}
	}
	for _, one := range d.all {
		if r := d.of[one]; r != nil {
			r.Divergences = append(r.Divergences, *one)
		}
	}
}

func nameOf(e events.Event) string { return e.Cluster + "/" + e.Application + "/" + e.Key }

// tell finds the divergence that an event tells of, or begins it.
func (d *divergences) tell(revisions []*Revision, e events.Event, said events.Divergence) *Divergence {
	one := d.open[nameOf(e)]
	if one == nil {
		one = &Divergence{Key: e.Key, Detected: e.Time, TraceID: traceID(e.Traceparent)}
		d.open[nameOf(e)] = one
		d.of[one] = diverged(revisions, e, said)
		d.all = append(d.all, one)
	}
	d.byEvent[e.ID] = one
	one.Said, one.Kind, one.Message, one.File, one.Line = said, said.Kind, said.Message, said.File, said.Line
	if one.Since.IsZero() || said.Since.Before(one.Since) {
		one.Since = said.Since
	}
	if said.Object != nil {
		one.Object = said.Object.String()
	}
	if said.Writer != nil {
		one.Writer = said.Writer.Manager
	}
	return one
}

// heal adds what an event of a divergence led to.
func (d *divergences) heal(e events.Event, s Stage) {
	if one := d.byEvent[e.CausationID]; one != nil {
		one.Heals = append(one.Heals, s)
	}
}

// diverged is the revision that live differs from: the newest of that commit
// before the divergence was told of.
func diverged(revisions []*Revision, e events.Event, said events.Divergence) *Revision {
	for _, r := range revisions {
		if r.Application == e.Application && r.Cluster == e.Cluster && r.Commit == said.Revision.Commit && r.began < e.Stored {
			return r
		}
	}
	return nil
}

// Lasted is how long a divergence has lasted at now, or did.
func (d *Divergence) Lasted(now time.Time) time.Duration {
	if d.After != nil {
		return d.After.Std()
	}
	return max(0, now.Sub(d.Since))
}

func divergenceOf(e events.Event) *events.Divergence {
	switch p := e.Data.(type) {
	case *events.DivergenceDetected:
		return &p.Divergence
	case *events.DivergencePersisted:
		return &p.Divergence
	case *events.DivergenceResolved:
		return &p.Divergence
	}
	return nil
}
