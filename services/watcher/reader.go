// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/events"
)

// What made a reader look (events.Revision.Trigger).
const (
	byStart   = "start"
	byPoll    = "poll"
	byWebhook = "webhook"
	bySync    = "sync"
)

const (
	firstBackoff = time.Second
	// leastBackoff is the longest wait for a repository whose interval is
	// shorter: a host that is back is noticed within it.
	leastBackoff      = time.Minute
	defaultGitTimeout = time.Minute
	// lookTimeouts bounds what a look may wait for a repository: so many times
	// what a listing of its refs may take.
	lookTimeouts = 10
)

// assignment is one application that a reader watches.
type assignment struct {
	declaration events.Declaration
	digest      string // of the declaration
	fleetCommit string
	// entered is where the log ended when the application came into the
	// fleet; zero: it was always there, or nobody knows.
	entered events.Order
}

// subject of the application's commit.observed.
func (a assignment) subject() string {
	return events.TypeOf(&events.CommitObserved{}).Subject(a.address())
}

func (a assignment) address() events.Address {
	return events.Address{Cluster: a.declaration.Cluster, Application: a.declaration.Application}
}

// ref is the fully qualified ref to follow, or the id of a commit.
func (a assignment) ref() string {
	return a.declaration.Source.Ref()
}

// reader watches one repository: one goroutine, one mirror, one listing per
// look.
type reader struct {
	hub     *hub
	name    string
	remote  *remote
	isFleet bool
	refusal error  // why the repository is never asked
	root    string // of the mirror

	wake     chan string // the trigger of a look that is due
	interval atomic.Int64
	assigned atomic.Pointer[[]assignment]
	stale    atomic.Bool // give up what is remembered of the bus
	cancel   context.CancelFunc
	done     chan struct{}

	// What follows belongs to the goroutine.
	mirror     *mirror
	generation uint64
	last       map[string]remembered // by subject
	sources    map[plumbing.Hash]events.Blob
	refused    map[plumbing.Hash]*sourceError // trees that can't be sent
	rejected   map[string]string              // subject → commit that was rejected
	denials    map[plumbing.Hash]time.Time    // commits at no ref → when the server did not give them out
	damage     damage
	declared   declared // the fleet reader's
	outage     *outage  // nil: not read yet
	failures   int
	begun      map[string]string // traces that were begun → the traceparent to pass on
}

// look asks for a look soon. Several that wait are one.
func (r *reader) look(trigger string) {
	select {
	case r.wake <- trigger:
	default:
	}
}

// run looks at once, at every interval and whenever woken, until ctx ends.
func (r *reader) run(ctx context.Context) {
	defer close(r.done)
	trigger := byStart
	for ctx.Err() == nil {
		wait := r.turn(ctx, trigger)
		if r.isFleet {
			r.hub.fleetLooked()
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case trigger = <-r.wake:
		case <-timer.C:
			trigger = byPoll
		}
		timer.Stop()
	}
	if r.mirror != nil {
		if err := r.mirror.close(); err != nil {
			r.hub.logger.Warn("mirror not closed", "repository", r.name, "error", err)
		}
	}
}

// turn is one look with everything that follows from how it went. It returns
// the time until the next.
func (r *reader) turn(ctx context.Context, trigger string) time.Duration {
	found, err := r.observe(ctx, trigger)
	anew := r.damage.next(errors.Is(err, errDamaged))
	log := r.hub.logger.With("repository", r.name)
	var out busError
	switch {
	case ctx.Err() != nil:
		return 0
	case errors.As(err, &out):
		log.WarnContext(ctx, "the bus does not answer; looking again", "error", err)
		return jitter(firstBackoff)
	case anew:
		log.WarnContext(ctx, "mirror rebuilt", "error", err)
		if err := r.mirror.reset(); err != nil {
			log.ErrorContext(ctx, "mirror not rebuilt", "error", err)
		}
		return jitter(firstBackoff)
	case err != nil:
		known := classify(unmendable(err))
		found = &trouble{reason: known.reason, message: known.message, applications: r.applications()}
		log.WarnContext(ctx, "repository not read", "reason", known.reason, "error", err)
		if r.isFleet {
			if err := r.hub.adoptRemembered(ctx); err != nil {
				log.ErrorContext(ctx, "remembered fleet not put in force", "error", err)
			}
		}
	}
	r.failures++
	if found == nil {
		r.failures = 0
	}
	if err := r.report(ctx, found); err != nil {
		log.WarnContext(ctx, "outage not reported; looking again", "error", err)
		return jitter(firstBackoff)
	}
	return r.pause(found, r.failures)
}

// pause is the time until the next look. A repository that answers, and lacks
// some refs, is looked at as often as ever: others follow the rest.
func (r *reader) pause(found *trouble, failures int) time.Duration {
	interval := time.Duration(r.interval.Load())
	switch {
	case found == nil:
		return jitter(interval)
	case found.reason == events.ReasonRefMissing && len(found.refs) > 0:
		return jitter(min(interval, backoff(interval, failures)))
	}
	return jitter(backoff(interval, failures))
}

// report says what is to be said of the repository's outage.
func (r *reader) report(ctx context.Context, found *trouble) error {
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	if r.outage == nil {
		known, err := lastOutage(ctx, r.hub.ledger, r.name)
		if err != nil {
			return err
		}
		r.outage = &known
	}
	what := decideOutage(*r.outage, found, r.failures)
	if what == silence {
		return nil
	}
	next, err := r.tell(ctx, *r.outage, found, what)
	if err != nil {
		return err
	}
	r.outage = &next
	return nil
}

// applications names what the reader watches, at most as many as an event
// carries.
func (r *reader) applications() []string {
	var names []string
	for _, a := range *r.assigned.Load() {
		if len(names) < events.MaxInline {
			names = append(names, a.declaration.Application)
		}
	}
	return names
}

// refresh gives up what may no longer be true of the bus.
func (r *reader) refresh() {
	_, generation := r.hub.log.now()
	if !r.stale.Swap(false) && generation == r.generation && r.last != nil {
		return
	}
	r.generation = generation
	r.last = map[string]remembered{}
	r.sources = map[plumbing.Hash]events.Blob{}
	r.refused = map[plumbing.Hash]*sourceError{}
	r.rejected = map[string]string{}
	r.denials = map[plumbing.Hash]time.Time{}
	r.damage = damage{}
	r.declared.lists = nil
	r.outage = nil
}

// ready opens the mirror.
func (r *reader) ready() error {
	if r.refusal != nil {
		return r.refusal
	}
	if r.mirror != nil {
		return nil
	}
	m, err := openMirror(r.root)
	if err != nil {
		return err
	}
	r.mirror = m
	return nil
}

// retire ends the reader, waits for it, and removes its mirror.
func (r *reader) retire() error {
	r.cancel()
	<-r.done
	return os.RemoveAll(r.root)
}

// jitter spreads d by a tenth, so that readers don't march in step.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}

// backoff is the wait after n failures in a row of a repository that is looked
// at every interval: it doubles from a second up to that, or to a minute.
func backoff(interval time.Duration, n int) time.Duration {
	most := max(interval, leastBackoff)
	d := firstBackoff
	for i := 1; i < n && d < most; i++ {
		d *= 2
	}
	return min(d, most)
}

func subjectsOf(all []assignment) []string {
	subjects := make([]string, len(all))
	for i, a := range all {
		subjects[i] = a.subject()
	}
	return subjects
}
