// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

var (
	typeObserved = events.TypeOf(&events.CommitObserved{})
	// outcomeTypes are what the renderer says of a revision.
	outcomeTypes = []*events.Type{
		events.TypeOf(&events.ManifestsRendered{}), events.TypeOf(&events.ManifestsUnchanged{}), events.TypeOf(&events.RenderFailed{}),
	}
)

// outcome is what became of an application's last revision.
type outcome int

const (
	pending outcome = iota
	broken          // it can't be rendered
	bundled         // there is a bundle of it
)

// askAgain is the time after which the log is asked again for an outcome that
// was not heard.
const askAgain = 30 * time.Second

// outcomes are what was heard, or read, of outcomes. It is safe for concurrent
// use.
type outcomes struct {
	mu     sync.Mutex
	bySaid map[string]rendering // by subject of the commit.observed
	heard  chan struct{}        // closed by the next one; nil: nobody waits
}

// rendering is what is known of an application's outcomes in one life of the
// log.
type rendering struct {
	last   events.Order // the newest revision that has one
	broken bool         // it is a failure
	// bundled says that a revision of this life was rendered.
	bundled bool
	asked   time.Time // when the log was asked
}

// of is what became of the revision at a place, as far as it is known.
func (r rendering) of(at events.Order) outcome {
	switch {
	case r.last != at:
		return pending
	case r.broken:
		return broken
	}
	return bundled
}

func (o *outcomes) take(e events.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	subject := typeObserved.Subject(e.Address)
	r := o.bySaid[subject]
	if r.last.Epoch != e.Epoch {
		r = rendering{asked: r.asked}
	}
	_, failed := e.Data.(*events.RenderFailed)
	if e.Sequence >= r.last.Sequence {
		r.last, r.broken = events.Order{Epoch: e.Epoch, Sequence: e.Sequence}, failed
	}
	r.bundled = r.bundled || !failed
	o.bySaid[subject] = r
	if o.heard != nil {
		close(o.heard)
		o.heard = nil
	}
}

// next is closed when the next outcome is known.
func (o *outcomes) next() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.heard == nil {
		o.heard = make(chan struct{})
	}
	return o.heard
}

// get is what is known of an application in a life of the log.
func (o *outcomes) get(subject, epoch string) rendering {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.bySaid[subject]
	if r.last.Epoch != epoch {
		return rendering{asked: r.asked}
	}
	return r
}

func (o *outcomes) askedAt(subject string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.bySaid[subject]
	r.asked = now
	o.bySaid[subject] = r
}

// outcomeHeard takes note of an outcome as it is published, and has the
// repository looked at where that decides what is to be said next.
func (h *hub) outcomeHeard(e events.Event) {
	h.chronicle.take(e)
	h.outcomes.take(e)
	subject := typeObserved.Subject(e.Address)
	failed, failing := e.Data.(*events.RenderFailed)
	waits := h.revivals.waits(subject, events.Order{Epoch: e.Epoch, Sequence: e.Sequence})
	lacking := failing && !h.outcomes.get(subject, e.Epoch).bundled &&
		len(h.chronicle.before(subject, failed.Revision.Commit, "")) > 0
	switch m := manifestsOf(e); {
	case !waits && !lacking:
	case m != nil:
		h.look(m.Declaration.Source.Repository, byPoll)
	case failing:
		h.look(failed.Declaration.Source.Repository, byPoll)
	}
}

// manifestsOf is what a bundle's event says; nil: it is none.
func manifestsOf(e events.Event) *events.Manifests {
	switch d := e.Data.(type) {
	case *events.ManifestsRendered:
		return &d.Manifests
	case *events.ManifestsUnchanged:
		return &d.Manifests
	}
	return nil
}

// outcomeOf is what is known of the outcomes of an application, whose last
// revision is stored in this life of the log. The log is asked where an outcome
// was not heard, and anew where it is to be certain.
func (p *pass) outcomeOf(ctx context.Context, a assignment, last remembered, anew bool) (rendering, error) {
	r := p.hub.outcomes.get(a.subject(), last.epoch)
	known := r.of(events.Order{Epoch: last.epoch, Sequence: last.stored}) != pending
	if !anew && (known || time.Since(r.asked) < askAgain) {
		return r, nil
	}
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	subjects := make([]string, len(outcomeTypes))
	for i, t := range outcomeTypes {
		subjects[i] = t.Subject(a.address())
	}
	now := time.Now()
	found, err := p.hub.ledger.LastOfEach(ctx, subjects...)
	if err != nil {
		return r, busError{err}
	}
	slices.SortFunc(found, func(a, b events.Event) int { return cmp.Compare(a.Stored, b.Stored) })
	for i, e := range found {
		// What is of a former life, of the log or of the application, tells nothing.
		if e.Type == nil || e.Epoch != last.epoch || e.Stored <= last.withdrawn ||
			a.entered.Epoch == e.Epoch && e.Sequence <= a.entered.Sequence {
			continue
		}
		p.hub.outcomes.take(e)
		if !isBundle(e) || !slices.ContainsFunc(found[i+1:], isBundle) { // else it is not the last
			p.hub.chronicle.take(e)
		}
	}
	p.hub.outcomes.askedAt(a.subject(), now)
	return p.hub.outcomes.get(a.subject(), last.epoch), nil
}

func isBundle(e events.Event) bool { return manifestsOf(e) != nil }

func filtersOf(types []*events.Type) []string {
	filters := make([]string, len(types))
	for i, t := range types {
		filters[i] = t.Filter("*")
	}
	return filters
}
