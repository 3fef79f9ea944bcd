// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// History is the revisions of one or more applications.
type History struct {
	Revisions []Revision // the newest first
	// Begins is when the oldest commit.observed was that the log keeps of each
	// of them; the zero time where it keeps none.
	Begins time.Time
	// Whole says that the log has not let go of a commit.observed yet.
	Whole bool
}

// Fold makes the history of what all tells. kept is how many events the log
// keeps on a subject: of a subject with that many, older ones may be gone. all
// may begin at some place of the log, if nothing after it is left out.
func Fold(all []events.Event, kept int) History {
	all = ordered(all)
	lives := map[place]*Revision{}
	horizons := horizonsOf(all, kept)
	for _, e := range all {
		at, ok := placeOf(e)
		if !ok {
			continue
		}
		r := lives[at]
		if r == nil {
			r = &Revision{Application: e.Application, Cluster: e.Cluster, Epoch: at.epoch, Sequence: at.sequence, began: e.Stored, Stages: []Stage{}}
			lives[at] = r
		}
		r.facts.add(e)
	}
	revisions := make([]*Revision, 0, len(lives))
	for _, r := range lives {
		r.describe()
		revisions = append(revisions, r)
	}
	slices.SortFunc(revisions, func(a, b *Revision) int { return -a.compare(b) })
	approve(revisions, all)
	diverge(revisions, all)
	h := History{Whole: true}
	for i, r := range revisions {
		r.judge(newerOf(revisions[:i], r), horizons)
		h.Revisions = append(h.Revisions, *r)
	}
	h.begin(all, horizons)
	return h
}

// begin tells since when revisions are known.
func (h *History) begin(all []events.Event, horizons horizons) {
	for _, e := range all {
		if _, ok := e.Data.(*events.CommitObserved); !ok {
			continue
		}
		if h.Begins.IsZero() {
			h.Begins = started(e)
		}
		if horizons[subject{e.Cluster, e.Application, e.Type}] > 0 {
			h.Whole = false
		}
	}
}

// place is a revision's place: its application, its cluster, its order. A
// commit that was refused has none, and is placed by its event.
type place struct {
	cluster, application, epoch string
	sequence, refused           uint64
}

// placeOf tells which revision an event is a part of the life of.
func placeOf(e events.Event) (place, bool) {
	p := place{cluster: e.Cluster, application: e.Application, epoch: e.Epoch, sequence: e.Sequence}
	switch e.Data.(type) {
	case *events.CommitRejected:
		p.sequence, p.refused = 0, e.Stored
		return p, true
	case *events.CommitObserved, *events.ManifestsRendered, *events.ManifestsUnchanged, *events.RenderFailed,
		*events.ConvergenceApplied, *events.ConvergenceCompleted, *events.ConvergenceFailed, *events.ConvergenceDegraded,
		*events.ConvergenceHeld, *events.ConvergenceSuperseded, *events.ConvergenceRolledBack:
		return p, e.Sequence > 0
	}
	return place{}, false
}

// ordered is all in the order of the log, each once.
func ordered(all []events.Event) []events.Event {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b events.Event) int { return cmp.Compare(a.Stored, b.Stored) })
	return slices.CompactFunc(all, func(a, b events.Event) bool { return a.Stored == b.Stored && a.ID == b.ID })
}

// compare orders revisions by their place in the log.
func (r *Revision) compare(other *Revision) int {
	return cmp.Or(cmp.Compare(r.began, other.began), strings.Compare(r.Cluster, other.Cluster), strings.Compare(r.Application, other.Application))
}

// newerOf is the next newer revision of the same application among those
// that are newer, the newest first.
func newerOf(newer []*Revision, r *Revision) *Revision {
	for _, other := range slices.Backward(newer) {
		if other.Application == r.Application && other.Cluster == r.Cluster && other.Sequence > 0 {
			return other
		}
	}
	return nil
}

// subject is what the log keeps a number of events of.
type subject struct {
	cluster, application string
	kind                 *events.Type
}

// horizons says of each subject that is full where the oldest event lies that
// is kept.
type horizons map[subject]uint64

func horizonsOf(all []events.Event, kept int) horizons {
	counts, oldest := map[subject]int{}, map[subject]uint64{}
	for _, e := range all {
		if e.Key != "" {
			continue
		}
		s := subject{e.Cluster, e.Application, e.Type}
		if counts[s]++; counts[s] == 1 {
			oldest[s] = e.Stored
		}
	}
	full := horizons{}
	for s, n := range counts {
		if n >= kept {
			full[s] = oldest[s]
		}
	}
	return full
}

// forgotten reports whether the end of a revision may have left the log: that
// of its rendering, or, where that is there, what the applier said.
func (h horizons) forgotten(r *Revision) bool {
	isRendered := slices.ContainsFunc(r.facts.all, func(e events.Event) bool { return manifestsOf(e) != nil })
	for s, stored := range h {
		if s.cluster != r.Cluster || s.application != r.Application || stored <= r.began {
			continue
		}
		if s.kind.Noun == "convergence" || !isRendered && s.kind.Noun != "commit" {
			return true
		}
	}
	return false
}

// Of is the revision that an event is about: one that it is a part of the life
// of, or that live differs from; nil where there is none among them.
func (h History) Of(e events.Event) *Revision {
	at, ok := placeOf(e)
	for i := range h.Revisions {
		r := &h.Revisions[i]
		if r.Cluster != e.Cluster || r.Application != e.Application || r.began > e.Stored {
			continue
		}
		if ok && (at.refused == 0 && r.Epoch == at.epoch && r.Sequence == at.sequence || at.refused > 0 && r.began == at.refused) {
			return r
		}
		if d := divergenceOf(e); d != nil && r.Commit == d.Revision.Commit {
			return r
		}
	}
	return nil
}
