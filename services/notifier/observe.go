// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/incident"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// handle takes an event: it says which incidents to look at, and what is found
// there is told when its turn has come.
func (n *notifier) handle(ctx context.Context, in events.Event) ([]events.Draft, error) {
	if _, ok := in.Data.(*events.SyncRequested); ok {
		n.level(in.ID)
		return nil, nil
	}
	scopes := n.concerned(in)
	var err error
	if list, ok := in.Data.(*events.FleetObserved); ok {
		scopes, err = n.ended(ctx, in, list.List, scopes)
	}
	n.look(events.CauseOf(in), scopes)
	return nil, err
}

// ended are, of the scopes that a list of the fleet concerns, those that it may
// end: declarations, and what is of applications that it lacks. Where its body
// can't be read, and may be later, the declarations alone, and an error.
func (n *notifier) ended(ctx context.Context, in events.Event, body events.Blob, scopes []incident.Scope) ([]incident.Scope, error) {
	declared, err := n.fleet.declared(ctx, in.Cluster, body)
	if err == nil && declared == nil {
		err = n.replaced(ctx, in)
	}
	return slices.DeleteFunc(scopes, func(s incident.Scope) bool {
		return s.Application != "" && (declared == nil || declared[s.Application])
	}), err
}

// replaced is nil where a list whose body is gone is no longer the newest;
// else the body may come yet, and the list is tried again.
func (n *notifier) replaced(ctx context.Context, list events.Event) error {
	last, err := n.conn.Last(ctx, list.Type.Subject(list.Address))
	switch {
	case errors.Is(err, bus.ErrNone): // the log has begun anew
		return nil
	case err == nil && last.ID == list.ID:
		return fmt.Errorf("the body of the fleet's list of cluster %s is not stored", list.Cluster)
	}
	return err
}

// progress is what is said of every revision where all is well. None of it opens
// an incident, and the auditor reads all of it: it says what is no event.
var progress = []*events.Type{
	events.TypeOf(&events.CommitObserved{}), events.TypeOf(&events.ManifestsRendered{}), events.TypeOf(&events.ManifestsUnchanged{}),
	events.TypeOf(&events.ConvergenceApplied{}), events.TypeOf(&events.ConvergenceCompleted{}),
}

// skips says that an event is of the progress of an application that never had
// an incident which that may end. One that opens before is told by what the log
// holds when its turn comes, this event included.
func (n *notifier) skips(t *events.Type, a events.Address) bool {
	if !slices.Contains(progress, t) {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return !slices.ContainsFunc(incident.Concerned(t, a), func(s incident.Scope) bool { return n.known[s] })
}

// concerned are the scopes that an event may change, of those that ever had an
// incident.
func (n *notifier) concerned(in events.Event) []incident.Scope {
	n.mu.Lock()
	defer n.mu.Unlock()
	scopes := incident.Opened(in.Type, in.Address)
	for _, s := range scopes {
		n.known[s] = true
	}
	for _, s := range incident.Concerned(in.Type, in.Address) {
		switch {
		case in.Type.Scope == events.ScopeCluster: // a list of the fleet
			for known := range n.known {
				if known.Kind == s.Kind && known.Cluster == s.Cluster {
					scopes = append(scopes, known)
				}
			}
		case n.known[s]:
			scopes = append(scopes, s)
		}
	}
	return scopes
}

// look puts scopes into the queue, each on its own: what was told of one is in
// the log before the next is told, and a notifier that is killed tells one again
// at most.
func (n *notifier) look(cause events.Cause, scopes []incident.Scope) {
	for _, s := range scopes {
		cause.About = s.Key()
		n.consumer.Observe(queue, cause, func(ctx context.Context) ([]events.Draft, error) {
			return n.tell(telemetry.About(ctx, s.Application), s)
		})
	}
}

// state is how an incident stands and what people know of it.
type state struct {
	incident.Incident
	exists bool
	told   *events.AlertDelivered // the last alert that Slack took; nil: none
	// unrecorded says that the log lacks told.
	unrecorded bool
	last       uint64 // the place of the last event about its alerts
}

// observe tells how an incident stands.
func (n *notifier) observe(ctx context.Context, s incident.Scope) (state, error) {
	found, err := n.read(ctx, s)
	if err == nil {
		n.remember(s, &found)
	}
	return found, err
}

// read reads from the log how an incident stands.
func (n *notifier) read(ctx context.Context, s incident.Scope) (state, error) {
	var view incident.View
	for _, subject := range s.Subjects() {
		e, err := n.conn.Last(ctx, subject)
		switch {
		case errors.Is(err, bus.ErrNone), errors.Is(err, events.ErrInvalid):
			continue // whoever consumes it says that it can't be read
		case err != nil:
			return state{}, err
		}
		view.Add(e)
	}
	for _, body := range view.Missing() {
		if s.Application == "" {
			break // of no matter to it
		}
		declared, err := n.fleet.declared(ctx, s.Cluster, body)
		if err != nil {
			return state{}, err
		}
		view.Declare(body, declared)
	}
	i, ok := view.Of(s)
	i.Scope = s
	return state{Incident: i, exists: ok, told: i.Told(), last: max(i.Delivered.Stored, i.Failed.Stored)}, nil
}

// atOnce is how many scopes of the level are read at once.
const atOnce = 16

// readAll reads how several incidents stand, in their order.
func (n *notifier) readAll(ctx context.Context, scopes []incident.Scope) ([]state, error) {
	all := make([]state, len(scopes))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, s := range scopes {
		group.Go(bus.Guard(func() (err error) {
			all[i], err = n.read(ctx, s)
			return err
		}))
	}
	return all, group.Wait()
}

// remember puts in what the log doesn't tell yet, or no longer.
func (n *notifier) remember(s incident.Scope, found *state) {
	m, ok := n.memory[s]
	if !ok {
		return
	}
	if found.last > m.last {
		if found.told == nil || found.told.Resolved {
			delete(n.memory, s)
			return
		}
		n.memory[s] = memory{*found.told, found.last} // for when the log is lost
		return
	}
	alert := m.alert
	found.unrecorded = found.exists && (found.told == nil || !same(*found.told, alert))
	found.told = &alert
}

// same reports whether two alerts are one.
func same(a, b events.AlertDelivered) bool {
	return a.Thread == b.Thread && a.Message == b.Message && a.Event == b.Event
}

// turn forgets the places of a log that is gone; the threads stay.
func (n *notifier) turn(ctx context.Context) error {
	log, err := n.conn.Log(ctx)
	if err != nil || log.Epoch == n.epoch {
		return err
	}
	n.epoch = log.Epoch
	for s, m := range n.memory {
		m.alert.Place, m.last = 0, 0
		n.memory[s] = m
	}
	return nil
}

// level has everything looked at of which there was ever an incident, and what
// was refused tried again.
func (n *notifier) level(why string) {
	n.mu.Lock()
	n.levels++
	id := fmt.Sprintf("notifier/%s/%d/%d", why, time.Now().UnixNano(), n.levels)
	n.mu.Unlock()
	n.consumer.Observe(queue, events.Cause{ID: id}, func(ctx context.Context) ([]events.Draft, error) {
		return nil, n.readLevel(ctx)
	})
}

func (n *notifier) readLevel(ctx context.Context) error {
	if err := n.turn(ctx); err != nil {
		return err
	}
	clear(n.refused)
	n.closed = nil
	scopes, err := n.scopes(ctx)
	if err != nil {
		return err
	}
	var due []state
	for some := range slices.Chunk(scopes, 16*atOnce) {
		states, err := n.readAll(ctx, some)
		if err != nil {
			return err
		}
		for _, found := range states {
			n.remember(found.Scope, &found)
			if found.unrecorded || decide(found, time.Now()) != nothing {
				due = append(due, found)
			}
		}
	}
	slices.SortFunc(due, byPlace)
	for _, d := range due {
		cause := events.Cause{ID: d.EventID(), Traceparent: d.Event.Traceparent, Correlation: d.Event.CorrelationID, Order: orderOf(d.Incident)}
		n.look(cause, []incident.Scope{d.Scope})
	}
	return nil
}

func byPlace(a, b state) int { return cmp.Compare(a.Place(), b.Place()) }

func orderOf(i incident.Incident) events.Order {
	return events.Order{Epoch: i.Event.Epoch, Sequence: i.Event.Sequence}
}

// scopes are those of which there was ever an incident.
func (n *notifier) scopes(ctx context.Context) ([]incident.Scope, error) {
	for _, filter := range incident.Openers() {
		subjects, err := n.conn.Subjects(ctx, filter)
		if err != nil {
			return nil, err
		}
		n.mu.Lock()
		for _, subject := range subjects {
			if t, address, err := events.ParseSubject(subject); err == nil {
				for _, s := range incident.Opened(t, address) {
					n.known[s] = true
				}
			}
		}
		n.mu.Unlock()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]incident.Scope, 0, len(n.known))
	for s := range n.known {
		all = append(all, s)
	}
	return all, nil
}
