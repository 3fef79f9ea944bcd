// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// fleet is the last complete list of the applications declared for the
// cluster. It may be used from several goroutines.
type fleet struct {
	cluster string

	mu       sync.Mutex
	id       string                       // of the event that brought the list; empty: none came yet
	declared map[string]events.FleetEntry // by application
}

// load reads the last list from the log, unless it is the one at hand. A log
// that has none leaves the one at hand: unknown is not withdrawn.
func (f *fleet) load(ctx context.Context, conn *bus.Conn) error {
	e, err := conn.Last(ctx, events.TypeNamed("fleet.observed").Subject(events.Address{Cluster: f.cluster}))
	if errors.Is(err, bus.ErrNone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the fleet's list: %w", err)
	}
	f.mu.Lock()
	known := f.id == e.ID
	f.mu.Unlock()
	data, ok := e.Data.(*events.FleetObserved)
	if known || !ok {
		return nil
	}
	list, err := items[events.FleetEntry](ctx, conn, data.Count, nil, &data.List)
	if err != nil {
		return fmt.Errorf("read the fleet's list: %w", err)
	}
	if len(list) != data.Count {
		return fmt.Errorf("read the fleet's list: it has %d entries where %d are announced", len(list), data.Count)
	}
	declared := make(map[string]events.FleetEntry, len(list))
	for _, entry := range list {
		declared[entry.Application] = entry
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.id, f.declared = e.ID, declared
	return nil
}

// withdrawn reports whether a complete list lacks the application.
func (f *fleet) withdrawn(application string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.declared[application]
	return f.id != "" && !ok
}

func (f *fleet) applications() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.declared))
}
