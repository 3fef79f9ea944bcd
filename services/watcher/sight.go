// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// sight is [pass.see], for a tip that can be read. What follows one that
// can't, because of what the server sends, stays at its last good state, and
// keeps nobody else back.
func (p *pass) sight(ctx context.Context, a assignment) (finding, error) {
	t, ok := p.find(a.ref())
	spoilt := ok && p.damage.isSpoilt(t.commit)
	if !spoilt {
		f, err := p.see(ctx, a)
		if !p.damage.ofServer(err) {
			return f, err
		}
		p.hub.logger.WarnContext(ctx, "a commit can't be read as the server sends it", "repository", p.name, "ref", a.ref(), "error", err)
		p.damage.spoil(t.commit)
	}
	f, err := p.without(ctx, a)
	f.spoilt = true
	return f, err
}

// without decides where there is no tip that could be said.
func (p *pass) without(ctx context.Context, a assignment) (f finding, err error) {
	f = finding{assignment: a, by: a, gone: true}
	s := sighting{repository: a.declaration.Source.Repository, ref: a.ref(), digest: a.digest, confirmed: p.confirmed}
	if len(p.hub.chronicle.before(a.subject(), "", "")) == 0 {
		f.verdict = decide(s)
		return f, nil
	}
	if f.last, err = p.lastOf(ctx, a); err != nil {
		return f, err
	}
	s.epoch, s.last = p.hub.log.epoch(), f.last.published
	return f, p.conclude(ctx, &f, &s)
}

// conclude decides, with what the past tells. What is in force is said again by
// what the log holds now alone: an outcome may not have been heard.
func (p *pass) conclude(ctx context.Context, f *finding, s *sighting) error {
	for _, anew := range []bool{false, true} {
		if err := p.past(ctx, f, s, anew); err != nil {
			return err
		}
		if f.verdict = decide(*s); f.verdict.action != revive || !s.said() {
			break
		}
	}
	if f.verdict.action == revive {
		f.revive()
	}
	return nil
}

// see gathers what decide has to know of one application, and decides.
func (p *pass) see(ctx context.Context, a assignment) (finding, error) {
	f := finding{assignment: a, by: a}
	s := sighting{
		repository: a.declaration.Source.Repository, ref: a.ref(), digest: a.digest, confirmed: p.confirmed,
	}
	t, ok := p.find(a.ref())
	if !ok || !p.lookup.known(t.commit) {
		return p.without(ctx, a)
	}
	commit, err := p.lookup.commit(t.commit)
	var none *sourceError
	if errors.As(err, &none) { // a tag of something else
		return p.without(ctx, a)
	}
	if err != nil {
		return f, err
	}
	f.tip, s.tip = commit.Hash, commit.Hash.String()
	if f.last, err = p.lastOf(ctx, a); err != nil {
		return f, err
	}
	s.epoch, s.last, s.descends, f.changed = p.hub.log.epoch(), f.last.published, true, true
	s.rejected = p.rejected[a.subject()] == s.tip
	f.rejected = s.rejected
	if s.last == nil {
		s.remembered = p.hub.log.lostEarlier() && a.entered.Epoch != s.epoch
		return f, p.conclude(ctx, &f, &s)
	}
	before := plumbing.NewHash(s.last.commit)
	if s.last.commit != s.tip {
		if s.descends, err = p.descends(ctx, before, f.tip); err != nil {
			return f, err
		}
	}
	s.fleetBehind = s.last.fleetCommit != a.fleetCommit && !p.hub.fleetListedAfter(f.last.read)
	s.reentered = f.last.withdrawn > s.last.stored || a.entered.Epoch == s.last.epoch && s.last.stored <= a.entered.Sequence
	if err := p.conclude(ctx, &f, &s); err != nil {
		return f, err
	}
	if f.verdict.action == publish {
		if !s.declared() {
			f.changed, err = p.pathChanged(before, f.tip, a.declaration.Source.Path)
		}
		return f, err
	}
	return f, p.keepSource(ctx, &f)
}

// descends is [mirror.isAncestor], asked once for all applications: where
// history was rewritten it reads all of it.
func (p *pass) descends(ctx context.Context, before, tip plumbing.Hash) (bool, error) {
	pair := [2]plumbing.Hash{before, tip}
	if known, ok := p.ancestry[pair]; ok {
		return known, nil
	}
	in, err := p.mirror.isAncestor(ctx, before, tip)
	if err != nil {
		return false, err
	}
	p.ancestry[pair] = in
	return in, nil
}

func (p *pass) pathChanged(before, tip plumbing.Hash, path string) (bool, error) {
	if !p.lookup.known(before) {
		return true, nil
	}
	was, err := p.lookup.at(before, path)
	if err != nil {
		return true, err
	}
	is, err := p.lookup.at(tip, path)
	return was != is, err
}

// keepSource sees to it, once per reading of the bus, that the source of an
// application's last revision is still there: blobs may be lost on their own.
func (p *pass) keepSource(ctx context.Context, f *finding) error {
	if f.verdict.action != nothing || f.last.checked {
		return nil
	}
	commit, err := p.lookup.commit(f.tip)
	if err != nil {
		return err
	}
	b, err := p.source(ctx, commit.TreeHash)
	var refused *sourceError
	if errors.As(err, &refused) {
		return nil // it can't be sent under today's limits; what was sent before stays
	}
	if err != nil {
		return err
	}
	if b != f.last.source {
		f.changed = false // it is the same commit: nobody waits for it
		f.verdict = verdict{action: publish, cause: causeLog, previous: f.last.commit, expect: f.last.stored}
		return nil
	}
	f.last.checked = true
	p.last[f.subject()] = f.last
	return nil
}

// lastOf is what the bus holds of an application.
func (p *pass) lastOf(ctx context.Context, a assignment) (remembered, error) {
	if m, ok := p.last[a.subject()]; ok {
		return m, nil
	}
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	m := remembered{read: time.Now()}
	e, err := p.hub.ledger.Last(ctx, a.subject())
	switch {
	case errors.Is(err, bus.ErrNone):
		p.last[a.subject()] = m
		return m, nil
	case err != nil:
		return m, busError{err}
	}
	if e.Epoch != p.hub.log.epoch() {
		p.hub.checkLog(ctx)
	}
	p.sendAgain(e)
	m = remember(e, m.read)
	withdrawn, err := p.hub.ledger.Last(ctx, events.TypeOf(&events.ApplicationWithdrawn{}).Subject(a.address()))
	if err != nil && !errors.Is(err, bus.ErrNone) {
		return m, busError{err}
	}
	m.withdrawn = withdrawn.Stored
	p.last[a.subject()] = m
	return m, nil
}

func remember(e events.Event, at time.Time) remembered {
	m := remembered{read: at}
	if data, ok := e.Data.(*events.CommitObserved); ok {
		m.source = data.Source
		m.published = &published{
			stored: e.Stored, epoch: e.Epoch, repository: data.Declaration.Source.Repository, ref: data.Revision.Ref,
			commit: data.Revision.Commit, digest: data.DeclarationDigest, fleetCommit: data.FleetCommit,
		}
	}
	return m
}
