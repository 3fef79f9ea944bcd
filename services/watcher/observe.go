// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"go.opentelemetry.io/otel/trace"

	"github.com/plumbline-dev/plumbline/events"
)

// remembered is what is known of an application's last commit.observed.
type remembered struct {
	*published // nil: there is none
	source     events.Blob
	withdrawn  uint64    // stored sequence of the last application.withdrawn; 0: none
	read       time.Time // when it was read, or published
	checked    bool      // its source was seen to be there
}

// finding is one application as a look found it.
type finding struct {
	assignment
	tip      plumbing.Hash
	last     remembered
	verdict  verdict
	changed  bool // its declaration, or what is under its path, differs from the revision before
	rejected bool // its tip was: most likely there is nothing to tell
	gone     bool // it has no tip
	spoilt   bool // its tip is there and can't be read
	// by is the assignment in force; what is said is as the embedded one has it.
	by   assignment
	past *past // what is said in place of the tip
}

// maxPasses bounds how often one look begins anew: for a listing that is made
// again, a fleet that is read again, and for another watcher's event that
// came in between.
const maxPasses = 6

// observe is one look: list, fetch, compare with the bus, publish. What is
// wrong with some of the refs comes back as trouble, what is wrong with the
// whole repository as an error.
func (r *reader) observe(ctx context.Context, trigger string) (*trouble, error) {
	if err := r.ready(); err != nil {
		return nil, err
	}
	r.refresh()
	p := &pass{reader: r, trigger: trigger, began: time.Now(), hook: r.hookOf(), open: map[string]begun{}}
	defer p.endTraces()
	for range maxPasses {
		again, err := p.run(ctx)
		if err != nil || !again {
			return p.trouble, err
		}
		// A conflict makes the listing older than what is on the bus.
		p.confirmed, p.confirm = p.confirm, false
	}
	return nil, busError{errors.New("another watcher publishes the same applications; run one watcher")}
}

// pass is one listing with what follows from it.
type pass struct {
	*reader
	trigger   string
	began     time.Time
	confirmed bool // the listing repeats one that something depended on
	confirm   bool // the next pass is to be a confirmed one
	asked     bool // the fleet was read again
	// work is what is looked at. What is assigned while the refs are listed and
	// fetched is for the next look: it may follow what this one has not fetched.
	work     []assignment
	session  session
	listing  listing
	trouble  *trouble
	ancestry map[[2]plumbing.Hash]bool // before, tip → whether one is in the other's history
	lookup   *lookup
	hook     trace.SpanContext // the webhook that asked for it
	fetches  []fetched
	open     map[string]begun // by identity: the traces that this look has begun
}

func (p *pass) run(ctx context.Context) (again bool, err error) {
	source, cancel := context.WithTimeout(ctx, lookTimeouts*p.hub.GitTimeout)
	defer cancel()
	p.work = *p.assigned.Load()
	if err := p.list(source); err != nil {
		return false, err
	}
	defer p.session.close()
	listed := time.Now()
	if again, err := p.fetch(source); err != nil || again {
		return again, err
	}
	p.ancestry = map[[2]plumbing.Hash]bool{}
	p.lookup = newLookup(p.mirror)
	var fleetErr error
	if p.isFleet {
		again, fleetErr = p.declare(ctx, listed)
		var known *sourceError
		if fleetErr != nil && !errors.As(fleetErr, &known) || again {
			return again, fleetErr
		}
	}
	again, err = p.compare(ctx)
	// A fleet that can't be read keeps no application of its repository back.
	return again, errors.Join(err, fleetErr)
}

// list opens the session, which lasts as long as ctx, and lists the refs. A
// server that doesn't list them in time is cut off.
func (p *pass) list(ctx context.Context) error {
	ctx, cut := context.WithCancelCause(ctx)
	timer := time.AfterFunc(p.hub.GitTimeout, func() { cut(context.DeadlineExceeded) })
	defer timer.Stop()
	s, err := p.remote.open(ctx)
	if err != nil {
		cut(err)
		return fmt.Errorf("open %s: %w", p.remote.endpoint, cmp.Or(deadline(ctx), err))
	}
	if p.listing, err = read(ctx, s); err != nil {
		s.close()
		cut(err)
		return fmt.Errorf("list %s: %w", p.remote.endpoint, cmp.Or(deadline(ctx), err))
	}
	p.session = s
	return nil
}

// deadline is why a context was cut off by a timer, if it was.
func deadline(ctx context.Context) error {
	if err := context.Cause(ctx); errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// refs are the refs to follow.
func (p *pass) refs() []string {
	refs := map[string]bool{}
	for _, a := range p.work {
		refs[a.ref()] = true
	}
	if p.isFleet {
		refs[p.hub.fleetRef()] = true
	}
	return slices.Sorted(maps.Keys(refs))
}

// find is what a ref stands for; false: it is gone.
func (p *pass) find(ref string) (target, bool) {
	if !plumbing.IsHash(ref) {
		commit := p.listing.tip(ref)
		return target{commit, p.listing.refs[ref]}, !commit.IsZero()
	}
	commit := plumbing.NewHash(ref)
	if p.mirror.known(commit) {
		return target{commit, commit}, true
	}
	for name, id := range p.listing.refs {
		if p.listing.tip(name) == commit {
			return target{commit, id}, true
		}
	}
	if p.denied(commit) {
		return target{}, false
	}
	c := p.listing.capabilities
	return target{commit, commit}, c.Supports(capability.AllowReachableSHA1InWant) || c.Supports(capability.AllowTipSHA1InWant)
}

// fetch brings what the refs stand for. A commit that is at no ref may be one
// that the server doesn't have, and then nothing comes: the others are tried
// again without it.
func (p *pass) fetch(ctx context.Context) (again bool, err error) {
	var all []target
	tips := map[plumbing.Hash]bool{}
	var unlisted []plumbing.Hash
	for _, ref := range p.refs() {
		if t, ok := p.find(ref); ok {
			all = append(all, t)
			tips[t.commit] = true
			if p.unlisted(ref, t) {
				unlisted = append(unlisted, t.commit)
			}
		}
	}
	p.mirror.keep = p.hub.chronicle.commits(subjectsOf(p.work))
	if err := p.timeFetch(ctx, func() error { return p.mirror.fetch(ctx, p.session, p.listing, all) }); err != nil {
		if len(unlisted) == 0 || ctx.Err() != nil {
			return false, fmt.Errorf("fetch %s: %w", p.remote.endpoint, err)
		}
		p.deny(unlisted)
		p.confirm = p.confirmed
		p.hub.logger.WarnContext(ctx, "commits at no ref not fetched; trying without them", "repository", p.name, "commits", len(unlisted), "error", err)
		return true, nil
	}
	for commit := range p.mirror.keep {
		if p.mirror.known(commit) {
			tips[commit] = true
		}
	}
	return false, p.mirror.settle(tips)
}

// compare holds every application against the bus and publishes what is new.
func (p *pass) compare(ctx context.Context) (again bool, err error) {
	var found []finding
	gone, spoilt := map[string][]string{}, map[string][]string{} // ref → applications
	fleetAgain := false
	for _, a := range p.work {
		f, err := p.sight(ctx, a)
		if err != nil {
			return false, err
		}
		switch {
		case f.spoilt:
			spoilt[a.ref()] = append(spoilt[a.ref()], a.declaration.Application)
		case f.gone:
			gone[a.ref()] = append(gone[a.ref()], a.declaration.Application)
		}
		switch f.verdict.action {
		case listAgain:
			p.confirm = true
		case readFleetAgain:
			// Where the fleet can't be read, the last revision stays.
			fleetAgain = !p.asked
		case publish, revive:
			found = append(found, f)
		case nothing, keepLast, await:
		}
	}
	p.trouble = troubleOf(gone, spoilt)
	if fleetAgain && !p.isFleet {
		p.hub.readFleetAgain(ctx)
	}
	p.asked = p.asked || fleetAgain
	if p.confirm || fleetAgain {
		return true, ctx.Err()
	}
	return p.publish(ctx, found, p.act)
}

// troubleOf is what is wrong with some of the refs: they are gone, or lead to
// what can't be read.
func troubleOf(gone, spoilt map[string][]string) *trouble {
	t := missingRefs(gone)
	if t != nil || len(spoilt) == 0 {
		return t
	}
	t = missingRefs(spoilt)
	t.reason = events.ReasonSourceInvalid
	t.message = fmt.Sprintf("%s can't be read: %s; what follows it stays at its last good state", t.refs[0], malformed)
	return t
}

func missingRefs(gone map[string][]string) *trouble {
	if len(gone) == 0 {
		return nil
	}
	t := &trouble{reason: events.ReasonRefMissing, refs: slices.Sorted(maps.Keys(gone))}
	for _, ref := range t.refs {
		t.applications = append(t.applications, gone[ref]...)
	}
	slices.Sort(t.applications)
	t.message = fmt.Sprintf("%s is not there, or names no commit; what follows it stays at its last good state", t.refs[0])
	if plumbing.IsHash(t.refs[0]) {
		t.message = fmt.Sprintf("the commit %s is at no ref, and the server gives no others out (uploadpack.allowReachableSHA1InWant)", t.refs[0])
	}
	if more := len(t.refs) - 1; more > 0 {
		t.message += fmt.Sprintf(" (and %d more)", more)
	}
	t.refs = t.refs[:min(len(t.refs), events.MaxInline)]
	t.applications = t.applications[:min(len(t.applications), events.MaxInline)]
	return t
}
