// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/fault"
)

// fleetList is the complete list of the applications declared for this
// cluster.
type fleetList struct {
	epoch   string
	stored  uint64 // its place in the log
	commit  string
	event   events.Event
	entries map[string]events.FleetEntry
	// since is when it was first known here, in this life of the log, that an
	// application is declared as it is now.
	since map[string]time.Time
}

func (f *fleetList) has(application string) bool {
	_, ok := f.entries[application]
	return ok
}

// readFleet reads the list of an event. It is complete or it is refused.
func (a *applier) readFleet(ctx context.Context, e events.Event) (*fleetList, error) {
	p, ok := e.Data.(*events.FleetObserved)
	if !ok {
		return nil, fmt.Errorf("%s is no fleet.observed", e.ID)
	}
	data, err := a.bus.Blobs().Get(ctx, p.List)
	if err != nil {
		return nil, fmt.Errorf("read the fleet's list: %w", err)
	}
	var entries []events.FleetEntry
	if err := json.Unmarshal(data, &entries); err != nil || len(entries) != p.Count {
		return nil, fault.Terminal(events.ReasonIntegrity, "the fleet's list is not whole; nothing is withdrawn by it", err)
	}
	f := &fleetList{epoch: e.Epoch, stored: e.Stored, commit: p.Commit, event: e, entries: make(map[string]events.FleetEntry, len(entries))}
	for _, entry := range entries {
		f.entries[entry.Application] = entry
	}
	return f, nil
}

// learnFleet reads the newest list from the log. Without one, the last that
// was known stays.
func (a *applier) learnFleet(ctx context.Context) (*fleetList, error) {
	e, err := a.bus.Last(ctx, typeFleet.Subject(events.Address{Cluster: a.cluster}))
	if errors.Is(err, bus.ErrNone) {
		return a.knownFleet(), nil
	}
	if err != nil {
		return nil, err
	}
	if known := a.knownFleet(); known != nil && known.event.ID == e.ID {
		return known, nil
	}
	f, err := a.readFleet(ctx, e)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	f.learnt(a.fleet, time.Now())
	a.fleet = f
	a.mu.Unlock()
	a.wake(func(awaited string) bool { return !f.has(awaited) })
	return f, nil
}

// learnt notes since when each application is known to be declared so, by what
// the list before says.
func (f *fleetList) learnt(before *fleetList, now time.Time) {
	f.since = make(map[string]time.Time, len(f.entries))
	for name, entry := range f.entries {
		f.since[name] = now
		if before != nil && before.epoch == f.epoch && before.entries[name] == entry {
			f.since[name] = before.since[name]
		}
	}
}

func (a *applier) knownFleet() *fleetList {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fleet
}

// withdrawnBy says that a list which is newer than a revision lacks its
// application: the revision comes too late. (The log may deliver the last
// bundle of an application that was withdrawn long ago.)
func (a *applier) withdrawnBy(application string, e events.Event) bool {
	f := a.knownFleet()
	return f != nil && !f.has(application) && f.epoch == e.Epoch && f.stored > e.Sequence
}

func (a *applier) fleetStored() uint64 {
	if f := a.knownFleet(); f != nil {
		return f.stored
	}
	return 0
}
