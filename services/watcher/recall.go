// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/fleet"
)

// before is what was in force before a commit: what is in force now, else
// what was remembered on disk, else what the bus holds, else what the fleet's
// history says. known is false where only the last could tell: then nothing
// is said to have come into the fleet.
func (p *pass) before(ctx context.Context, tip plumbing.Hash, now *inForce) (before memory, known bool, err error) {
	if now != nil {
		return now.memory, true, nil
	}
	m, err := loadMemory(p.hub.Mirrors, p.hub.blankMemory())
	if err != nil {
		return memory{}, false, err
	}
	if m != nil {
		return *m, true, nil
	}
	state, ok, err := p.fromBus(ctx)
	if err != nil {
		return memory{}, false, err
	}
	if ok {
		return memory{State: state}, true, nil
	}
	state, err = recall(ctx, p.mirror, tip, p.hub.FleetPath, p.hub.recipient, p.hub.declarations())
	return memory{State: state}, false, err
}

// fromBus rebuilds what was in force from the fleet's last lists and each
// listed application's last commit.observed. It is false where the bus holds
// no list of this fleet, or lost one's body.
func (p *pass) fromBus(ctx context.Context) (fleet.State, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	state := fleet.State{Complete: true}
	for cluster, l := range p.declared.lists {
		if !l.of(p.hub) {
			continue
		}
		body, err := p.hub.blobs.Get(ctx, l.list)
		if errors.Is(err, blob.ErrMissing) || errors.Is(err, blob.ErrIntegrity) {
			return fleet.State{}, false, nil
		}
		if err != nil {
			return fleet.State{}, false, busError{err}
		}
		var entries []events.FleetEntry
		if err := json.Unmarshal(body, &entries); err != nil {
			return fleet.State{}, false, nil //nolint:nilerr // as good as lost
		}
		if cluster != fleet.LocalCluster {
			state.Left = append(state.Left, cluster) // unless it is still declared
		}
		for _, e := range entries {
			entry, err := p.entry(ctx, cluster, e)
			if err != nil {
				return fleet.State{}, false, err
			}
			state.Applications = append(state.Applications, entry)
			state.Repositories, state.Clusters = addNeeds(state.Repositories, state.Clusters, entry.Declaration)
		}
	}
	slices.SortFunc(state.Applications, func(a, b fleet.Entry) int { return strings.Compare(a.Name, b.Name) })
	return state, len(state.Applications) > 0, nil
}

func (p *pass) entry(ctx context.Context, cluster string, e events.FleetEntry) (fleet.Entry, error) {
	entry := fleet.Entry{Name: e.Application, Held: e.Held, Cluster: cluster}
	address := events.Address{Cluster: cluster, Application: e.Application}
	last, err := p.hub.ledger.Last(ctx, events.TypeOf(&events.CommitObserved{}).Subject(address))
	if errors.Is(err, bus.ErrNone) {
		return entry, nil
	}
	if err != nil {
		return entry, busError{err}
	}
	if d, ok := last.Data.(*events.CommitObserved); ok {
		entry.Declaration, entry.File = &d.Declaration, d.Declaration.File
	}
	return entry, nil
}

// addNeeds adds the repository and the cluster that a declaration names.
func addNeeds(repositories []fleet.Repository, clusters []fleet.Cluster, d *events.Declaration) ([]fleet.Repository, []fleet.Cluster) {
	if d == nil {
		return repositories, clusters
	}
	if !slices.ContainsFunc(repositories, func(r fleet.Repository) bool { return r.Name == d.Source.Repository }) {
		repositories = append(repositories, fleet.Repository{Name: d.Source.Repository, URL: d.Source.URL, Interval: events.Duration(defaultInterval)})
	}
	if d.Cluster != fleet.LocalCluster && !slices.ContainsFunc(clusters, func(c fleet.Cluster) bool { return c.Name == d.Cluster }) {
		clusters = append(clusters, fleet.Cluster{Name: d.Cluster, Recipient: d.Recipient})
	}
	return repositories, clusters
}

// recall derives what was in force at the parent of a commit from the fleet's
// own history: from the last commit in which everything could be read, or
// from the first commit, forward.
func recall(ctx context.Context, m *mirror, commit plumbing.Hash, folder, recipient string, reader fleet.Reader) (fleet.State, error) {
	at, err := m.commit(commit)
	if err != nil {
		return fleet.State{}, err
	}
	state := fleet.State{}
	var later []fleet.Result
	for range maxRecall {
		if at.NumParents() == 0 {
			state.Complete = true // before the first commit nothing was declared
			break
		}
		if !m.known(at.ParentHashes[0]) {
			break // a shallow repository's history ends here
		}
		if at, err = m.commit(at.ParentHashes[0]); err != nil {
			return fleet.State{}, err
		}
		result, err := readFleet(ctx, m, at.Hash, folder, reader)
		if missing := (*sourceError)(nil); errors.As(err, &missing) {
			continue
		}
		if err != nil {
			return fleet.State{}, err
		}
		later = append(later, result)
		if len(result.Rejections) == 0 {
			state.Complete = true
			break
		}
	}
	for _, result := range slices.Backward(later) {
		state = fleet.Merge(state, result, recipient)
	}
	return state, nil
}
