// SPDX-License-Identifier: Apache-2.0

package status

import (
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

// View holds the last event of each subject. The zero value is empty; it is
// not for use from several goroutines.
type View struct {
	applications map[where]*facts
	sources      map[string]events.Event // repository → the last of its two events
	fleets       map[string]events.Event // cluster → fleet.observed
	rejected     map[string]events.Event // key → fleet.rejected
	lists        map[string]list         // digest → what the fleet list of that digest says
}

// where is one application on one cluster.
type where struct{ cluster, application string }

// facts is the last event of each kind about one application.
type facts struct {
	observed   events.Event            // commit.observed
	refused    events.Event            // commit.rejected
	manifests  events.Event            // manifests.* or render.failed, of the highest place in the log
	verdict    events.Event            // convergence.*, superseded apart
	completed  events.Event            // convergence.completed
	held       events.Event            // convergence.held
	approved   map[string]uint64       // hold → where its approval is stored
	withdrawn  events.Event            // application.withdrawn
	divergence map[string]events.Event // key → the last of its transitions
	limited    events.Event            // audit.limited
	commits    map[string]uint64       // commit → where it was last observed
	failures   map[string]events.Event // commit → the last failure of it
}

// Add takes an event; one that it has, or that is older than what it has,
// changes nothing.
func (v *View) Add(e events.Event) {
	switch e.Type.Name() {
	case "source.unreachable", "source.recovered":
		v.sources = latest(v.sources, e.Key, e)
	case "fleet.observed":
		v.fleets = latest(v.fleets, e.Cluster, e)
	case "fleet.rejected":
		v.rejected = latest(v.rejected, e.Key, e)
	case "sync.requested", "message.rejected", "alert.delivered", "alert.failed":
	default:
		v.of(where{e.Cluster, e.Application}).add(e)
	}
}

func (v *View) of(w where) *facts {
	f, ok := v.applications[w]
	if !ok {
		if v.applications == nil {
			v.applications = map[where]*facts{}
		}
		f = &facts{}
		v.applications[w] = f
	}
	return f
}

func (f *facts) add(e events.Event) {
	switch p := e.Data.(type) {
	case *events.CommitObserved:
		f.commits = highest(f.commits, p.Revision.Commit, e.Stored)
		newer(&f.observed, e)
	case *events.CommitRejected:
		newer(&f.refused, e)
	case *events.ManifestsRendered, *events.ManifestsUnchanged:
		newer(&f.manifests, e)
	case *events.RenderFailed:
		f.failures = latest(f.failures, p.Revision.Commit, e)
		newer(&f.manifests, e)
	case *events.ConvergenceCompleted:
		newer(&f.completed, e)
		newer(&f.verdict, e)
	case *events.ConvergenceHeld:
		newer(&f.held, e)
		newer(&f.verdict, e)
	case *events.ConvergenceFailed:
		f.failures = latest(f.failures, p.Revision.Commit, e)
		newer(&f.verdict, e)
	case *events.ConvergenceApplied, *events.ConvergenceDegraded, *events.ConvergenceRolledBack:
		newer(&f.verdict, e)
	case *events.ApprovalGiven:
		f.approved = highest(f.approved, p.Hold, e.Stored)
	case *events.ApplicationWithdrawn:
		newer(&f.withdrawn, e)
	case *events.AuditLimited:
		newer(&f.limited, e)
	case *events.DivergenceDetected, *events.DivergencePersisted, *events.DivergenceResolved:
		f.divergence = latest(f.divergence, e.Key, e)
	}
}

func newer(have *events.Event, e events.Event) {
	if e.Stored >= have.Stored {
		*have = e
	}
}

func latest(m map[string]events.Event, key string, e events.Event) map[string]events.Event {
	if m == nil {
		m = map[string]events.Event{}
	}
	if e.Stored >= m[key].Stored {
		m[key] = e
	}
	return m
}

func highest(m map[string]uint64, key string, n uint64) map[string]uint64 {
	if m == nil {
		m = map[string]uint64{}
	}
	m[key] = max(m[key], n)
	return m
}

// All is every application that is declared, ordered by cluster and name.
func (v *View) All() []Status {
	var all []Status
	for w := range v.known() {
		if s := v.status(w); s.State != Withdrawn {
			all = append(all, s)
		}
	}
	order(all)
	return all
}

// Of is the application of that name on every cluster where it was ever seen,
// withdrawn ones included.
func (v *View) Of(application string) []Status {
	var all []Status
	for w := range v.known() {
		if w.application == application {
			all = append(all, v.status(w))
		}
	}
	order(all)
	return all
}

// known is every application that some event speaks of. Of one that was never
// observed, because its repository can't be read or its declaration was never
// valid, no event tells the cluster.
func (v *View) known() map[where]bool {
	known := map[where]bool{}
	named := map[string]bool{}
	for w := range v.applications {
		known[w] = true
		named[w.application] = true
	}
	for _, e := range v.sources {
		if p, out := e.Data.(*events.SourceUnreachable); out {
			for _, a := range p.Applications {
				if !named[a] {
					known[where{"", a}] = true
				}
			}
		}
	}
	for _, e := range v.rejected {
		for _, a := range e.Data.(*events.FleetRejected).Holds {
			if !named[a] && v.stands(e, where{"", a}) {
				known[where{"", a}] = true
			}
		}
	}
	return known
}

func order(all []Status) {
	slices.SortFunc(all, func(a, b Status) int {
		if c := strings.Compare(a.Cluster, b.Cluster); c != 0 {
			return c
		}
		return strings.Compare(a.Application, b.Application)
	})
}
