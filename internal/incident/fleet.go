// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

// local is the cluster whose list alone names what is refused.
const local = "local"

// list is what is kept of a list of the fleet.
type list struct {
	mark
	body       events.Blob
	rejections []string // the keys of what is refused, in order; the first of them where they are many
	count      int      // of all that is refused
}

// Missing returns the newest lists of the fleet whose bodies the view was not
// given: the events name them, and they lie among the blobs. Without its body
// no list ends what is wrong with an application.
func (v *View) Missing() []events.Blob {
	var missing []events.Blob
	for _, l := range v.lists {
		if v.bodies[l.body.Digest] == nil && l.body.Digest != "" {
			missing = append(missing, l.body)
		}
	}
	return missing
}

// Declare gives the view the body of a list: the applications that it names,
// each true. The view keeps the map, and doesn't change it.
func (v *View) Declare(b events.Blob, applications map[string]bool) {
	if v.bodies == nil {
		v.bodies = map[string]map[string]bool{}
	}
	v.bodies[b.Digest] = applications
}

func (v *View) list(e events.Event, p *events.FleetObserved) {
	if e.Stored < v.lists[e.Cluster].stored {
		return
	}
	if v.lists == nil {
		v.lists = map[string]list{}
	}
	v.lists[e.Cluster] = list{markOf(e, "", p.Commit), p.List, p.Rejections, p.RejectionCount}
}

// mended is the list that says that a declaration is no longer refused: it came
// later, and doesn't name it.
func (v *View) mended(rejected events.Event) (mark, bool) {
	l := v.lists[local]
	if l.stored <= rejected.Stored || l.refuses(rejected.Key) {
		return mark{}, false
	}
	l.how = "it is correct now, or no longer declared"
	return l.mark, true
}

// refuses reports whether a declaration may be refused: of what comes behind
// the last that a list names nobody knows.
func (l list) refuses(key string) bool {
	if slices.Contains(l.rejections, key) {
		return true
	}
	n := len(l.rejections)
	return n < l.count && (n == 0 || key > l.rejections[n-1])
}

// undeclared is the list that lacks the application of a scope, and came after
// the revision that is wrong. What is said of such a revision later is over as
// soon as it is said.
func (v *View) undeclared(s Scope, opener events.Event) (mark, bool) {
	l, ok := v.lists[s.Cluster]
	declared := v.bodies[l.body.Digest]
	if !ok || declared == nil || declared[s.Application] {
		return mark{}, false
	}
	if place(opener, l.epoch) > l.stored {
		return mark{}, false
	}
	m := l.mark
	m.how, m.stored = undeclaredHow, max(m.stored, opener.Stored)
	return m, true
}

const undeclaredHow = "it is no longer declared"

// former is the list that ended a former life of an application, as its alert
// remembers it: one that is declared again has another. opener is of the former
// where its revision came before that list.
func (v *View) former(s Scope, opener events.Event) (mark, bool) {
	e := v.delivered[s.Alert()]
	p, ok := e.Data.(*events.AlertDelivered)
	if !ok || !p.Resolved || !strings.HasPrefix(p.Event, idOfLists) || place(opener, e.Epoch) > p.Place {
		return mark{}, false
	}
	return mark{stored: max(p.Place, opener.Stored), epoch: e.Epoch, time: e.Time, id: p.Event, how: undeclaredHow}, true
}

// idOfLists begins the ids of lists of the fleet.
var idOfLists = events.TypeOf(&events.FleetObserved{}).Name() + "-"

// place is that of the revision that an event is about, in a life of the log;
// its own, where it is about none.
func place(e events.Event, epoch string) uint64 {
	if e.Sequence > 0 && e.Epoch == epoch {
		return min(e.Stored, e.Sequence)
	}
	return e.Stored
}
