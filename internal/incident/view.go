// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"cmp"
	"slices"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// View holds what decides over every scope. The zero value is empty; it is not
// for use from several goroutines. It is of one life of the log: what is
// newer is told by the place in it.
type View struct {
	records   map[Scope]*record
	lists     map[string]list            // the newest, by cluster
	bodies    map[string]map[string]bool // the applications that a list names, by its body's digest
	delivered map[events.Address]events.Event
	failed    map[events.Address]events.Event
}

// record is what is known of one scope.
type record struct {
	opener events.Event // the newest that opens
	begun  []mark       // the openers since the closer
	closer mark         // the newest that closes, whatever it was
	// Of a divergence, the newest that was resolved, of a withdrawal the newest
	// that isn't held; of a hold the newest bundle that was applied, and the
	// approvals by what they approve.
	resolved  events.Event
	applied   mark
	approvals map[string]uint64
}

// mark is what is kept of an event that closes something.
type mark struct {
	stored, sequence uint64
	epoch            string
	time             time.Time
	id, commit, how  string
}

// Add takes an event; one that it has, or that is older than what it has,
// changes nothing.
func (v *View) Add(e events.Event) {
	switch p := e.Data.(type) {
	case *events.RenderFailed:
		v.open(Render, e)
	case *events.CommitRejected:
		v.open(Commit, e)
	case *events.ConvergenceFailed, *events.ConvergenceDegraded:
		v.open(Convergence, e)
	case *events.ConvergenceHeld:
		v.open(Hold, e)
	case *events.SourceUnreachable:
		v.open(Source, e)
	case *events.FleetRejected:
		v.open(Declaration, e)
	case *events.DivergencePersisted:
		v.open(Divergence, e)
	case *events.ApplicationWithdrawn:
		v.withdraw(e, p)
	case *events.ApprovalGiven:
		r := v.record(Scope{Hold, e.Address})
		if r.approvals == nil {
			r.approvals = map[string]uint64{}
		}
		r.approvals[p.Hold] = max(r.approvals[p.Hold], e.Stored)
	case *events.AlertDelivered:
		v.delivered = newest(v.delivered, e.Address, e)
	case *events.AlertFailed:
		v.failed = newest(v.failed, e.Address, e)
	default:
		v.end(e)
	}
}

// end takes what closes an incident.
func (v *View) end(e events.Event) {
	switch p := e.Data.(type) {
	case *events.CommitObserved:
		v.close(e, "a newer commit was accepted", p.Revision.Commit, Commit)
		v.close(e, "it is declared again", p.Revision.Commit, Withdrawal)
	case *events.ManifestsRendered:
		v.close(e, "it renders again", p.Revision.Commit, Render)
	case *events.ManifestsUnchanged:
		v.close(e, "it renders again", p.Revision.Commit, Render)
	case *events.ConvergenceCompleted:
		v.close(e, "it has converged", p.Revision.Commit, Convergence, Hold)
	case *events.ConvergenceApplied:
		r := v.record(Scope{Hold, e.Address})
		r.applied = later(r.applied, markOf(e, "", p.Revision.Commit))
	case *events.DivergenceResolved:
		r := v.record(Scope{Divergence, e.Address})
		if e.Stored >= r.resolved.Stored {
			r.resolved = e
		}
		commit := ""
		if p.How == "declared" {
			commit = p.Revision.Commit
		}
		v.close(e, resolvedHow(p.How), commit, Divergence)
	case *events.SourceRecovered:
		v.close(e, "it can be read again, or is no longer declared", "", Source)
	case *events.FleetObserved:
		v.list(e, p)
	}
}

// withdraw takes what became of an application that is no longer declared.
func (v *View) withdraw(e events.Event, p *events.ApplicationWithdrawn) {
	if p.Outcome == events.ActionHeld {
		v.open(Withdrawal, e)
		return
	}
	r := v.record(Scope{Withdrawal, e.Address})
	if e.Stored >= r.resolved.Stored {
		r.resolved = e
	}
	v.close(e, "it was withdrawn", "", Withdrawal, Render, Commit, Convergence, Hold)
}

func (v *View) record(s Scope) *record {
	r, ok := v.records[s]
	if !ok {
		if v.records == nil {
			v.records = map[Scope]*record{}
		}
		r = &record{}
		v.records[s] = r
	}
	return r
}

func (v *View) open(kind Kind, e events.Event) {
	r := v.record(Scope{kind, e.Address})
	if e.Stored >= r.opener.Stored {
		r.opener = e
	}
	if e.Stored > r.closer.stored && !slices.ContainsFunc(r.begun, func(m mark) bool { return m.stored == e.Stored }) {
		r.begun = append(r.begun, mark{stored: e.Stored, time: e.Time})
	}
}

func (v *View) close(e events.Event, how, commit string, kinds ...Kind) {
	for _, kind := range kinds {
		r := v.record(Scope{kind, e.Address})
		r.closer = later(r.closer, markOf(e, how, commit))
		r.begun = slices.DeleteFunc(r.begun, func(m mark) bool { return m.stored < r.closer.stored })
	}
}

func markOf(e events.Event, how, commit string) mark {
	return mark{stored: e.Stored, sequence: e.Sequence, epoch: e.Epoch, time: e.Time, id: e.ID, commit: commit, how: how}
}

func later(a, b mark) mark {
	if b.stored > a.stored {
		return b
	}
	return a
}

func newest(m map[events.Address]events.Event, a events.Address, e events.Event) map[events.Address]events.Event {
	if m == nil {
		m = map[events.Address]events.Event{}
	}
	if e.Stored >= m[a].Stored {
		m[a] = e
	}
	return m
}

func resolvedHow(how string) string {
	switch how {
	case "healed":
		return "it was put back"
	case "reverted":
		return "somebody put it back"
	case "declared":
		return "Git declares it so now"
	case "ignored":
		return "a rule ignores it now"
	case "withdrawn":
		return "the application was withdrawn"
	case "reported":
		return "its failure is reported"
	}
	return how
}

// Open are the incidents that are open, the oldest first.
func (v *View) Open() []Incident {
	return v.all(func(i Incident) bool { return i.Open() })
}

// Closed are the last incidents of the scopes where none is open now, the one
// that ended first foremost.
func (v *View) Closed() []Incident {
	return v.all(func(i Incident) bool { return !i.Open() })
}

func (v *View) all(wanted func(Incident) bool) []Incident {
	var all []Incident
	for s := range v.records {
		if i, ok := v.Of(s); ok && wanted(i) {
			all = append(all, i)
		}
	}
	slices.SortFunc(all, func(a, b Incident) int {
		return cmp.Or(cmp.Compare(a.Place(), b.Place()), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Scope.Key(), b.Scope.Key()))
	})
	return all
}

// Of is the newest incident of a scope, if there ever was one.
func (v *View) Of(s Scope) (Incident, bool) {
	r := v.records[s]
	if r == nil {
		return Incident{}, false
	}
	i := Incident{Scope: s, Event: r.opener, Delivered: v.delivered[s.Alert()], Failed: v.failed[s.Alert()]}
	closing, closed := v.closing(s, r)
	switch {
	case s.Kind == Withdrawal && r.opener.Data == nil && i.Told() != nil:
		i.Event = r.resolved // it took the place of the one that was held
	case s.Kind == Divergence && r.resolved.Stored > r.opener.Stored && (r.opener.Data == nil || !persisted(r.resolved)):
		i.Event = r.resolved // never seen open
	}
	if i.Event.Data == nil {
		return Incident{}, false
	}
	if closed {
		i.Closed = &Closing{How: closing.how, Time: closing.time, Event: closing.id, Stored: closing.stored, Commit: closing.commit}
	}
	i.Since = i.Event.Time
	for _, m := range r.begun {
		if m.time.Before(i.Since) {
			i.Since = m.time
		}
	}
	describe(&i)
	return i, true
}

func persisted(e events.Event) bool {
	p, ok := e.Data.(*events.DivergenceResolved)
	return ok && p.Persisted
}

// closing is what has closed the newest incident of a scope.
func (v *View) closing(s Scope, r *record) (mark, bool) {
	end := r.closer
	switch s.Kind {
	case Hold:
		if how, ok := r.released(); ok {
			m := r.applied
			m.how = how
			end = later(end, m)
		}
	case Declaration:
		if m, ok := v.mended(r.opener); ok {
			end = m
		}
	}
	if end.stored > r.opener.Stored {
		return end, true
	}
	if !slices.Contains(listed, s.Kind) {
		return mark{}, false
	}
	if m, ok := v.undeclared(s, r.opener); ok {
		return m, true
	}
	return v.former(s, r.opener)
}

// released says how what was held has gone: it has been approved, and applied
// since, or a newer revision was applied without a hold.
func (r *record) released() (how string, ok bool) {
	p, ok := r.opener.Data.(*events.ConvergenceHeld)
	if !ok || r.applied.stored < r.opener.Stored {
		return "", false
	}
	if approved := r.approvals[p.Hold]; approved > r.opener.Stored && r.applied.stored > approved {
		return "it was approved, and applied", true
	}
	newer := r.applied.epoch != r.opener.Epoch || r.applied.sequence > r.opener.Sequence
	return "a newer revision needs no approval", newer
}
