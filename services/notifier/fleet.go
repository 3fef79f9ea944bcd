// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// fleet keeps the last list of each cluster that was read. It may be used from
// several goroutines.
type fleet struct {
	conn *bus.Conn

	mu   sync.Mutex
	last map[string]fleetList // by cluster
}

type fleetList struct {
	digest   string
	declared map[string]bool // application → true; never changed
}

// declared are the applications that a cluster's list names; nil where its body
// is gone: it has been replaced meanwhile, or is being sent again.
func (f *fleet) declared(ctx context.Context, cluster string, body events.Blob) (map[string]bool, error) {
	f.mu.Lock()
	l, ok := f.last[cluster]
	f.mu.Unlock()
	if ok && l.digest == body.Digest {
		return l.declared, nil
	}
	text, err := f.conn.Blobs().Get(ctx, body)
	if errors.Is(err, blob.ErrMissing) || errors.Is(err, blob.ErrIntegrity) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the fleet's list of cluster %s: %w", cluster, err)
	}
	var entries []events.FleetEntry
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, fmt.Errorf("read the fleet's list of cluster %s: %w", cluster, err)
	}
	l = fleetList{body.Digest, make(map[string]bool, len(entries))}
	for _, e := range entries {
		l.declared[e.Application] = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last[cluster] = l
	return l.declared, nil
}
