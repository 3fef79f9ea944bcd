// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// outage is what was said last of a repository.
type outage struct {
	down   bool
	since  time.Time
	reason events.Reason
	refs   []string // that are gone
	url    string   // of the repository then, without credentials
	last   uint64   // stored sequence of the last source event; 0: none
}

// trouble is what is wrong with a repository now.
type trouble struct {
	reason       events.Reason
	message      string
	refs         []string // that are gone, where the repository answers
	applications []string // that stay as they are
}

// said is what an outage gives occasion to say.
type said int

const (
	silence said = iota
	unreachable
	recovered
)

// patience is how often in a row a look has to fail before it is an outage:
// one failure may be a server's restart, or a branch between its deletion and
// its creation anew.
const patience = 2

// decideOutage says whether something is to be said: once at the start of an
// outage, once more only if further refs are gone, once at its end. It is
// pure.
func decideOutage(known outage, now *trouble, failures int) said {
	switch {
	case now == nil && known.down:
		return recovered
	case now == nil, failures < patience:
		return silence
	case !known.down:
		return unreachable
	case now.reason == events.ReasonRefMissing && known.reason == events.ReasonRefMissing && !contains(known.refs, now.refs):
		return unreachable
	}
	return silence
}

func contains(all, some []string) bool {
	return !slices.ContainsFunc(some, func(one string) bool { return !slices.Contains(all, one) })
}

// sourceFilter is the subject of everything that is said of a repository's
// outages.
func sourceFilter(key string) string {
	return events.Root + ".source.*._._." + events.EncodeToken(key)
}

// lastOutage reads from the bus what was said last of a repository.
func lastOutage(ctx context.Context, l ledger, repository string) (outage, error) {
	address := events.Address{Key: repository}
	var o outage
	down, err := l.Last(ctx, events.TypeOf(&events.SourceUnreachable{}).Subject(address))
	switch {
	case errors.Is(err, bus.ErrNone):
	case err != nil:
		return o, busError{err}
	default:
		if p, ok := down.Data.(*events.SourceUnreachable); ok {
			o = outage{down: true, since: p.Since, reason: p.Reason, refs: p.Refs, url: p.URL, last: down.Stored}
		}
	}
	up, err := l.Last(ctx, events.TypeOf(&events.SourceRecovered{}).Subject(address))
	switch {
	case errors.Is(err, bus.ErrNone):
	case err != nil:
		return o, busError{err}
	case up.Stored > o.last:
		o = outage{last: up.Stored}
	}
	return o, nil
}

// forget ends the outages of repositories that are no longer declared: nobody
// looks whether they can be read again.
func (h *hub) forget(ctx context.Context, declared map[string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	subjects, err := h.ledger.Subjects(ctx, events.TypeOf(&events.SourceUnreachable{}).Filter("*"))
	if err != nil {
		return err
	}
	for _, subject := range subjects {
		_, address, err := events.ParseSubject(subject)
		if err != nil {
			continue // not the watcher's
		}
		name := address.Key
		if _, ok := declared[name]; ok || name == fleetName {
			continue
		}
		known, err := lastOutage(ctx, h.ledger, name)
		if err != nil {
			return err
		}
		if !known.down {
			continue
		}
		data := &events.SourceRecovered{Repository: name, URL: known.url, Since: known.since, After: lasted(known.since)}
		if _, err := h.sayOutage(ctx, name, known, data, recovered); err != nil && !errors.Is(err, bus.ErrConflict) {
			return err
		}
	}
	return nil
}

// lasted is how long an outage has lasted.
func lasted(since time.Time) events.Duration {
	return events.Duration(time.Since(since).Round(time.Millisecond))
}

// sayOutage publishes the beginning or the end of an outage, if nothing was
// said since what is known, and returns its place in the log.
func (h *hub) sayOutage(ctx context.Context, repository string, known outage, data events.Payload, what said) (uint64, error) {
	cause := events.Cause{
		ID:          causeID("source", h.log.epoch(), repository, fmt.Sprint(known.last), fmt.Sprint(what)),
		Correlation: "source/" + repository,
	}
	out, err := h.ledger.Publish(ctx, cause, events.Draft{
		Data: data, Address: events.Address{Key: repository},
		Expect: &events.Expectation{Filter: sourceFilter(repository), Last: known.last},
	})
	if err != nil {
		return 0, err
	}
	return out[0].Stored, nil
}

// tell publishes what decideOutage decided, and returns what is known then.
func (r *reader) tell(ctx context.Context, known outage, now *trouble, what said) (outage, error) {
	var data events.Payload
	next := outage{}
	if what == unreachable {
		next = outage{down: true, since: time.Now().UTC(), reason: now.reason, refs: now.refs}
		if known.down {
			next.since = known.since
		}
		data = &events.SourceUnreachable{
			Repository: r.name, URL: r.remote.endpoint.String(), Reason: now.reason, Message: now.message,
			Since: next.since, Refs: now.refs, Applications: now.applications,
		}
	} else {
		data = &events.SourceRecovered{
			Repository: r.name, URL: r.remote.endpoint.String(), Since: known.since, After: lasted(known.since),
		}
	}
	stored, err := r.hub.sayOutage(ctx, r.name, known, data, what)
	if errors.Is(err, bus.ErrConflict) {
		return lastOutage(ctx, r.hub.ledger, r.name)
	}
	if err != nil {
		return known, publishing(err)
	}
	next.last = stored
	return next, nil
}
