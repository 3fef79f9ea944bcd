// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/plumbline-dev/plumbline/events"
)

// Kind says what is wrong.
type Kind string

// The kinds.
const (
	Divergence  Kind = "divergence"  // live differs from Git, or a revision is stalled
	Render      Kind = "render"      // a revision can't be rendered
	Commit      Kind = "commit"      // a commit is refused
	Convergence Kind = "convergence" // a revision did not converge, or lost its health
	Hold        Kind = "hold"        // a guard stands before what would be deleted
	Withdrawal  Kind = "withdrawal"  // an application is no longer declared, and held
	Source      Kind = "source"      // a repository can't be read
	Declaration Kind = "declaration" // a declaration is refused
)

// Kinds are all of them.
var Kinds = []Kind{Divergence, Render, Commit, Convergence, Hold, Withdrawal, Source, Declaration}

// Scope is one thing that can be wrong: there is one incident of it at a time.
// The address names what it is of: an application, and of a divergence its
// key; of a source the repository as the key; of a declaration its key.
type Scope struct {
	Kind Kind
	events.Address
}

// Key identifies the incidents of a scope, as 32 hex digits. It is the last
// token of the subjects of their alerts.
func (s Scope) Key() string {
	text, err := json.Marshal([]string{string(s.Kind), s.Cluster, s.Application, s.Address.Key})
	if err != nil {
		panic("incident: texts can't be encoded: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// Alert is the address of the events about the incident's alerts.
func (s Scope) Alert() events.Address {
	return events.Address{Cluster: s.Cluster, Application: s.Application, Key: s.Key()}
}

// opening are the events that open an incident, or close one that was never
// seen open.
var opening = map[Kind][]events.Payload{
	Divergence:  {&events.DivergencePersisted{}, &events.DivergenceResolved{}},
	Render:      {&events.RenderFailed{}},
	Commit:      {&events.CommitRejected{}},
	Convergence: {&events.ConvergenceFailed{}, &events.ConvergenceDegraded{}},
	Hold:        {&events.ConvergenceHeld{}},
	Withdrawal:  {&events.ApplicationWithdrawn{}},
	Source:      {&events.SourceUnreachable{}},
	Declaration: {&events.FleetRejected{}},
}

// further are the other events that decide over an incident.
var further = map[Kind][]events.Payload{
	Render:      {&events.ManifestsRendered{}, &events.ManifestsUnchanged{}, &events.ApplicationWithdrawn{}, &events.FleetObserved{}},
	Commit:      {&events.CommitObserved{}, &events.ApplicationWithdrawn{}, &events.FleetObserved{}},
	Convergence: {&events.ConvergenceCompleted{}, &events.ApplicationWithdrawn{}, &events.FleetObserved{}},
	Hold:        {&events.ConvergenceCompleted{}, &events.ConvergenceApplied{}, &events.ApprovalGiven{}, &events.ApplicationWithdrawn{}, &events.FleetObserved{}},
	Withdrawal:  {&events.CommitObserved{}},
	Source:      {&events.SourceRecovered{}},
	Declaration: {&events.FleetObserved{}},
}

// listed are the kinds that end with an application's declaration.
var listed = []Kind{Render, Commit, Convergence, Hold}

var (
	openers = scopesByType(opening)
	closers = scopesByType(further)
)

func scopesByType(table map[Kind][]events.Payload) map[*events.Type][]Kind {
	by := map[*events.Type][]Kind{}
	for _, kind := range Kinds {
		for _, p := range table[kind] {
			by[events.TypeOf(p)] = append(by[events.TypeOf(p)], kind)
		}
	}
	return by
}

// Openers are the filters of the subjects that name every scope of which there
// was ever an incident.
func Openers() []string {
	var all []string
	for i := range events.Types {
		if t := &events.Types[i]; len(openers[t]) > 0 {
			all = append(all, t.Filter("*"))
		}
	}
	return all
}

// Filters are those of all events that a [View] takes, but for alerts.
func Filters() []string {
	var all []string
	for i := range events.Types {
		if t := &events.Types[i]; len(openers[t])+len(closers[t]) > 0 {
			all = append(all, t.Filter("*"))
		}
	}
	return all
}

// Opened are the scopes of which an event of type t at a may open an incident.
func Opened(t *events.Type, a events.Address) []Scope { return scopes(openers[t], a) }

// Concerned are the other scopes whose incident an event of type t at a may
// change. A list of the fleet concerns every scope of its cluster of some
// kinds, and all declarations: those have no application and no key.
func Concerned(t *events.Type, a events.Address) []Scope { return scopes(closers[t], a) }

func scopes(kinds []Kind, a events.Address) []Scope {
	all := make([]Scope, 0, len(kinds))
	for _, kind := range kinds {
		if kind == Declaration {
			all = append(all, Scope{kind, events.Address{Key: a.Key}})
			continue
		}
		all = append(all, Scope{kind, a})
	}
	return all
}

// Subjects are those of the events that decide over a scope, its alerts
// included: the last event of each tells how it stands, with the bodies of the
// lists of the fleet ([View.Missing]).
func (s Scope) Subjects() []string {
	var all []string
	for _, p := range append(append([]events.Payload(nil), opening[s.Kind]...), further[s.Kind]...) {
		t := events.TypeOf(p)
		if t.Scope == events.ScopeCluster {
			all = append(all, t.Subject(events.Address{Cluster: cmp.Or(s.Cluster, local)}))
			continue
		}
		all = append(all, t.Subject(s.Address))
	}
	for _, p := range []events.Payload{&events.AlertDelivered{}, &events.AlertFailed{}} {
		all = append(all, events.TypeOf(p).Subject(s.Alert()))
	}
	return all
}
