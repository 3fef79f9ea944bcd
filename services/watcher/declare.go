// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/fleet"
)

// declared is what the fleet reader knows of what it said.
type declared struct {
	// lists is the last fleet.observed of each cluster; nil: not read yet.
	lists map[string]listed
	// said is the commit of which everything was said.
	said plumbing.Hash
}

// listed is a fleet.observed.
type listed struct {
	stored            uint64 // 0: there is none
	epoch             string
	url, path, commit string
	count, held       int
	list              events.Blob
	rejections        []string // keys
	rejected          int
}

// declare reads the fleet's tip, puts it in force, and says what changed. A
// fleet commit that another watcher's list is ahead of is listed again first.
func (p *pass) declare(ctx context.Context, at time.Time) (again bool, err error) {
	h := p.hub
	ref := h.fleetRef()
	tip, ok := p.find(ref)
	if !ok {
		return false, refuse(events.ReasonRefMissing, nil, "the fleet repository has no branch %s (--fleet-branch)", h.FleetBranch)
	}
	now := h.inForce.Load()
	next := now == nil || now.remembered || now.commit != tip.commit.String()
	if next {
		p.declared.lists = nil // another watcher may have said more meanwhile
	}
	if err := p.readLists(ctx); err != nil {
		return false, err
	}
	if !p.confirmed {
		stale, err := p.staleFleet(ctx, tip.commit)
		if err != nil || stale {
			p.confirm = stale
			return stale, err
		}
	}
	if next {
		now, err = p.readDeclarations(ctx, tip.commit, now)
		if err != nil {
			return false, err
		}
		if err := h.adopt(ctx, now, p.trigger); err != nil {
			return false, err
		}
		p.work = *p.assigned.Load()
	}
	h.fleetSeen(at)
	if p.declared.said == tip.commit {
		return false, nil
	}
	h.settle()
	if err := p.say(ctx, now); err != nil {
		if errors.Is(err, bus.ErrConflict) {
			p.declared.lists = nil
			return true, nil
		}
		return false, err
	}
	p.declared.said = tip.commit
	// Applications that were just declared here may follow refs that were
	// not fetched.
	for _, ref := range p.refs() {
		if t, ok := p.find(ref); ok && !p.mirror.known(t.commit) {
			return true, nil
		}
	}
	return false, nil
}

// readLists reads the last fleet.observed of every cluster.
func (p *pass) readLists(ctx context.Context) error {
	if p.declared.lists != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	observed := events.TypeOf(&events.FleetObserved{})
	subjects, err := p.hub.ledger.Subjects(ctx, observed.Filter("*"))
	if err != nil {
		return busError{err}
	}
	lists := map[string]listed{}
	for _, subject := range subjects {
		e, err := p.hub.ledger.Last(ctx, subject)
		if err != nil {
			return busError{err}
		}
		if d, ok := e.Data.(*events.FleetObserved); ok {
			lists[e.Cluster] = listed{e.Stored, e.Epoch, d.URL, d.Path, d.Commit, d.Count, d.Held, d.List, d.Rejections, d.RejectionCount}
		}
	}
	p.declared.lists, p.declared.said = lists, plumbing.ZeroHash
	return nil
}

// saidLists are the clusters of which the bus holds the list that is to be
// published: another watcher was here before, or nothing has changed. What is
// in such a list has come into it already.
func (p *pass) saidLists(s fleet.State, epoch string) (map[string]bool, error) {
	said := map[string]bool{}
	for cluster, entries := range s.Lists() {
		body, err := encodeList(cluster, entries)
		if err != nil {
			return nil, err
		}
		l := p.declared.lists[cluster]
		said[cluster] = l.epoch == epoch && l.of(p.hub) && l.list.Digest == fmt.Sprintf("sha256:%x", sha256.Sum256(body))
	}
	return said, nil
}

// of says that a list is of the fleet that is watched.
func (l listed) of(h *hub) bool { return l.url == h.fleet.String() && l.path == h.FleetPath }

// staleFleet says whether a list on the bus is of a commit that the tip lacks.
func (p *pass) staleFleet(ctx context.Context, tip plumbing.Hash) (bool, error) {
	for _, l := range p.declared.lists {
		if l.commit == tip.String() || !l.of(p.hub) {
			continue
		}
		in, err := p.mirror.isAncestor(ctx, plumbing.NewHash(l.commit), tip)
		if err != nil || !in {
			return !in, err
		}
	}
	return false, nil
}

// readDeclarations is what is in force with a commit of the fleet.
func (p *pass) readDeclarations(ctx context.Context, tip plumbing.Hash, now *inForce) (*inForce, error) {
	h := p.hub
	result, err := readFleet(ctx, p.mirror, tip, h.FleetPath, h.declarations())
	if err != nil {
		return nil, err
	}
	before, known, err := p.before(ctx, tip, now)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	end, err := h.ledger.Log(ctx)
	if err != nil {
		return nil, busError{err}
	}
	next := h.blankMemory()
	next.Commit, next.Epoch = tip.String(), end.Epoch
	next.State = fleet.Merge(before.State, result, h.recipient)
	if before.Epoch == end.Epoch {
		next.Rejected, next.Entered = before.Rejected, maps.Clone(before.Entered)
	}
	if known {
		said, err := p.saidLists(next.State, end.Epoch)
		if err != nil {
			return nil, err
		}
		next.enter(before.State, events.Order{Epoch: end.Epoch, Sequence: end.Last}, said)
	}
	if err := next.save(h.Mirrors); err != nil {
		return nil, err
	}
	return &inForce{memory: next, commit: next.Commit}, nil
}
