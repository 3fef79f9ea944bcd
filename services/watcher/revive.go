// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/events"
)

// In a new life of the log nothing is known of what clusters were driven to.
// Where an application's tip can't be rendered, or can't be said at all, its last
// revision that may be is said once more, under the declaration of that time, and
// after it the tip: so the log says again what is in force, and ends as before.

// revivePatience is how long the outcome of such a revision is waited for before
// the tip is said again. A tip that was said at once would overtake it.
const revivePatience = time.Minute

// revival is what was said for that in one life of the log.
type revival struct {
	epoch  string
	tried  map[[2]string]bool // commit and digest of the declaration
	last   past               // the last one
	stored uint64             // its place
	until  time.Time          // its outcome is waited for
}

// revivals are those of each application. They are forgotten with the process,
// which costs that a revision is said once more. It is safe for concurrent use.
type revivals struct {
	mu     sync.Mutex
	bySaid map[string]revival // by subject of the commit.observed
}

// waits says that the outcome of the revision at a place is waited for.
func (r *revivals) waits(subject string, at events.Order) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.bySaid[subject]
	return ok && v.epoch == at.Epoch && v.stored == at.Sequence
}

// get is what was tried in a life of the log.
func (r *revivals) get(subject, epoch string) revival {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.bySaid[subject]; ok && v.epoch == epoch {
		return v
	}
	return revival{epoch: epoch, tried: map[[2]string]bool{}}
}

// next is the revision to say, of those that may be in force: the newest that
// can be read, and was not tried.
func (v revival) next(all []past, readable func(past) bool) *past {
	for i, p := range all {
		if !v.tried[[2]string{p.Commit, p.Digest}] && readable(p) {
			return &all[i]
		}
	}
	return nil
}

// try notes that a revision is tried; stored is its place, 0 where it can't be
// said.
func (r *revivals) try(subject string, v revival, p past, stored uint64, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tried := map[[2]string]bool{{p.Commit, p.Digest}: true}
	for key := range v.tried {
		tried[key] = true
	}
	r.bySaid[subject] = revival{epoch: v.epoch, tried: tried, last: p, stored: stored, until: until}
}

// again notes that the outcome of the last one never came: it is tried again.
func (r *revivals) again(subject string, v revival) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tried := map[[2]string]bool{}
	for key := range v.tried {
		tried[key] = key != [2]string{v.last.Commit, v.last.Digest}
	}
	v.tried, v.stored = tried, 0
	r.bySaid[subject] = v
}

// readable says that a revision can be said by an assignment: its repository is
// the one that is read, and the mirror has its commit.
func (p *pass) readable(a assignment, of past) bool {
	was := of.Declaration.Source
	if was.Repository != a.declaration.Source.Repository || was.URL != a.declaration.Source.URL {
		return false
	}
	commit := plumbing.NewHash(of.Commit)
	if p.damage.isSpoilt(commit) || !p.lookup.known(commit) {
		return false
	}
	_, err := p.lookup.commit(commit)
	return err == nil
}

// past gathers what decide has to know of the revisions before the tip, and of
// what became of the last one; it returns the revision to say instead.
func (p *pass) past(ctx context.Context, f *finding, s *sighting, anew bool) (err error) {
	subject := f.subject()
	if p.hub.chronicle.settled(subject, s.tip, s.digest) {
		return nil
	}
	said := s.last != nil && s.last.epoch == s.epoch
	var r rendering
	if said {
		if r, err = p.outcomeOf(ctx, f.assignment, f.last, anew); err != nil {
			return err
		}
		s.outcome, s.bundled = r.of(events.Order{Epoch: s.last.epoch, Sequence: s.last.stored}), r.bundled
	}
	v := p.hub.revivals.get(subject, s.epoch)
	if said && v.stored != 0 && v.stored == s.last.stored {
		s.revived = true
		if s.waited = time.Now().After(v.until); s.waited && s.outcome == pending {
			p.hub.revivals.again(subject, v)
		}
	}
	f.past = v.next(p.hub.chronicle.before(subject, s.tip, s.digest), func(of past) bool { return p.readable(f.assignment, of) })
	s.past = f.past != nil
	return nil
}

// revive makes a finding one of the revision before the tip.
func (f *finding) revive() {
	f.declaration, f.digest, f.tip = *f.past.Declaration, f.past.Digest, plumbing.NewHash(f.past.Commit)
	if f.past.FleetCommit != "" { // else it was learnt from the log
		f.fleetCommit = f.past.FleetCommit
	}
	f.changed, f.rejected = true, false // it is not of the tip
}

// revived notes that the revision before a tip was said, and has the tip looked
// at again when its outcome has been waited for. That it was heard comes first,
// as a rule.
func (p *pass) revived(f finding, stored uint64) {
	until := time.Now().Add(revivePatience)
	epoch := p.hub.log.epoch()
	p.hub.revivals.try(f.subject(), p.hub.revivals.get(f.subject(), epoch), *f.past, stored, until)
	if p.hub.outcomes.get(f.subject(), epoch).of(events.Order{Epoch: epoch, Sequence: stored}) != pending {
		p.look(byPoll) // it was heard before this was noted
		return
	}
	time.AfterFunc(revivePatience, func() { p.look(byPoll) })
}
