// SPDX-License-Identifier: Apache-2.0

package status

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// list is one fleet list: application → whether it is held.
type list map[string]bool

// Missing returns the fleet lists that are in force and that the view was not
// given: the events name them, and they lie among the blobs. Without them it
// is only guessed which applications are held, and one that was never applied
// stays when it is no longer declared.
func (v *View) Missing() []events.Blob {
	var missing []events.Blob
	for _, cluster := range sortedKeys(v.fleets) {
		b := v.fleets[cluster].Data.(*events.FleetObserved).List
		if _, ok := v.lists[b.Digest]; !ok && b.Digest != "" {
			missing = append(missing, b)
		}
	}
	return missing
}

// Declare gives the view what a fleet list says.
func (v *View) Declare(b events.Blob, entries []events.FleetEntry) {
	l := make(list, len(entries))
	for _, e := range entries {
		l[e.Application] = e.Held
	}
	if v.lists == nil {
		v.lists = map[string]list{}
	}
	v.lists[b.Digest] = l
}

// listOf is the list that is in force on a cluster, and the event that names
// it; nil where it was not given.
func (v *View) listOf(cluster string) (list, events.Event) {
	e := v.fleets[cluster]
	p, ok := e.Data.(*events.FleetObserved)
	if !ok {
		return nil, e
	}
	return v.lists[p.List.Digest], e
}

// undeclare says of an application that it is no longer declared where a list
// says so and the applier has not.
func (v *View) undeclare(s *Status, f *facts) {
	l, e := v.listOf(s.Cluster)
	if _, declared := l[s.Application]; l == nil || declared || max(f.observed.Stored, f.withdrawn.Stored) > e.Stored {
		return
	}
	switch {
	case s.State == Withdrawn || f.withdrawn.Stored > f.observed.Stored:
	case f.verdict.Data == nil:
		s.set(Withdrawn, "", "no longer declared; nothing of it was ever applied", e)
	default:
		s.set(Converging, "", "no longer declared: waits for the applier", e)
	}
}

// refusal is the newest refusal of a declaration that holds an application.
func (v *View) refusal(s Status) events.Event {
	var found events.Event
	for _, e := range v.rejected {
		if slices.Contains(e.Data.(*events.FleetRejected).Holds, s.Application) && v.stands(e, where{s.Cluster, s.Application}) {
			newer(&found, e)
		}
	}
	return found
}

// Refusal is a declaration, or a whole file of the fleet, that is refused and
// holds no application.
type Refusal struct {
	File    string
	Message string // with its place in the file
	Since   time.Time
}

// Refusals are those that hold by the fleet's list, or that came after it,
// in order of file. What holds an application is that application's status.
func (v *View) Refusals() []Refusal {
	newest := v.fleets["local"] // which alone names them
	list, _ := newest.Data.(*events.FleetObserved)
	var all []Refusal
	for key, e := range v.rejected {
		p := e.Data.(*events.FleetRejected)
		holds := e.Stored > newest.Stored || list != nil && slices.Contains(list.Rejections, key)
		if holds && len(p.Holds) == 0 {
			all = append(all, Refusal{p.File, problem(p), e.Time})
		}
	}
	slices.SortFunc(all, func(a, b Refusal) int {
		return cmp.Or(strings.Compare(a.File, b.File), strings.Compare(a.Message, b.Message))
	})
	return all
}

// stands reports whether a refusal of a declaration still holds an
// application: the list that came after it says so. Where that was not given,
// it stands until a list is without held applications.
func (v *View) stands(rejected events.Event, w where) bool {
	stands := true
	for cluster, e := range v.fleets {
		if e.Stored < rejected.Stored || w.cluster != "" && w.cluster != cluster {
			continue
		}
		p := e.Data.(*events.FleetObserved)
		if l, _ := v.listOf(cluster); l != nil {
			if l[w.application] {
				return true
			}
			stands = false
			continue
		}
		if p.Held > 0 {
			return true
		}
		if p.Commit != rejected.Data.(*events.FleetRejected).Commit {
			stands = false
		}
	}
	return stands
}
