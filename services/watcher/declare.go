// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
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
	now := h.inForce.Load()
	if now == nil || now.remembered || now.commit != tip.commit.String() {
		now, err = p.readDeclarations(ctx, tip.commit, now)
		if err != nil {
			return false, err
		}
		if err := h.adopt(ctx, now, p.trigger); err != nil {
			return false, err
		}
	}
	h.fleetSeen(at)
	if p.declared.said == tip.commit {
		return false, nil
	}
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
			lists[e.Cluster] = listed{e.Stored, e.Epoch, d.URL, d.Path, d.Commit, d.Count, d.Held, d.List}
		}
	}
	p.declared.lists, p.declared.said = lists, plumbing.ZeroHash
	return nil
}

// staleFleet says whether a list on the bus is of a commit that the tip lacks.
func (p *pass) staleFleet(ctx context.Context, tip plumbing.Hash) (bool, error) {
	for _, l := range p.declared.lists {
		if l.commit == tip.String() || l.url != p.hub.fleet.String() || l.path != p.hub.FleetPath {
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
	result, err := readFleet(ctx, p.mirror, tip, h.FleetPath)
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
		next.enter(before.State, events.Order{Epoch: end.Epoch, Sequence: end.Last})
	}
	if err := next.save(h.Mirrors); err != nil {
		return nil, err
	}
	return &inForce{memory: next, commit: next.Commit}, nil
}

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
	state, err = recall(ctx, p.mirror, tip, p.hub.FleetPath, p.hub.recipient)
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
		if l.url != p.hub.fleet.String() || l.path != p.hub.FleetPath {
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

// say publishes the rejections and the lists that the bus doesn't hold yet.
func (p *pass) say(ctx context.Context, now *inForce) error {
	if err := p.sayRejections(ctx, now); err != nil {
		return err
	}
	if !now.memory.State.Complete {
		p.hub.logger.Warn("no list of the fleet is published: a file can't be read, and what it declared before is not known; mend it",
			"commit", now.commit, "rejections", len(now.memory.State.Rejections))
		return nil
	}
	lists := now.memory.State.Lists()
	for _, cluster := range slices.Sorted(maps.Keys(lists)) {
		if err := p.sayList(ctx, now, cluster, lists[cluster]); err != nil {
			return err
		}
	}
	return nil
}

// sayRejections says each rejection once for as long as it holds.
func (p *pass) sayRejections(ctx context.Context, now *inForce) error {
	h := p.hub
	hold := map[string]string{}
	changed := false
	for _, r := range now.memory.State.Rejections {
		key, digest := r.Key(), rejectionDigest(r)
		hold[key] = digest
		if now.memory.Rejected[key] == digest && now.memory.Epoch == h.log.epoch() {
			continue
		}
		changed = true
		unknown := now.memory.Rejected == nil
		if err := p.sayRejection(ctx, now.commit, r, digest, unknown); err != nil {
			return err
		}
	}
	if !changed && len(hold) == len(now.memory.Rejected) && now.memory.Rejected != nil && now.memory.Epoch == h.log.epoch() {
		return nil
	}
	next := *now
	next.memory.Rejected, next.memory.Epoch = hold, h.log.epoch()
	if err := next.memory.save(h.Mirrors); err != nil {
		return err
	}
	h.inForce.Store(&next)
	return nil
}

// sayRejection publishes one rejection. Where it is unknown whether it was said
// already, the bus is asked.
func (p *pass) sayRejection(ctx context.Context, commit string, r fleet.Rejection, digest string, unknown bool) error {
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	address := events.Address{Key: r.Key()}
	data := r.Payload(commit)
	last, err := p.hub.ledger.Last(ctx, events.TypeOf(data).Subject(address))
	if err != nil && !errors.Is(err, bus.ErrNone) {
		return busError{err}
	}
	if said, ok := last.Data.(*events.FleetRejected); ok && last.Epoch == p.hub.log.epoch() {
		same := reflect.DeepEqual(said, r.Payload(said.Commit))
		if same && (unknown || said.Commit == commit) {
			return nil
		}
	}
	cause := events.Cause{
		ID:          causeID("rejection", p.hub.log.epoch(), r.Key(), digest, strconv.FormatUint(last.Stored, 10)),
		Correlation: "fleet@" + commit,
	}
	_, err = p.hub.ledger.Publish(ctx, cause, events.Draft{
		Data: data, Address: address, Expect: &events.Expectation{Last: last.Stored},
	})
	if err != nil && !errors.Is(err, bus.ErrConflict) { // another watcher said it
		return busError{err}
	}
	p.hub.logger.Warn("declaration rejected", "file", r.File, "kind", r.Kind, "name", r.Name, "problem", r.Problems[0].Message, "line", r.Problems[0].Line)
	return nil
}

func rejectionDigest(r fleet.Rejection) string {
	text, err := json.Marshal(r)
	if err != nil {
		panic("watcher: texts can't be encoded: " + err.Error())
	}
	return causeID("rejection", string(text))
}

// sayList publishes the list of one cluster, unless the bus holds the same.
func (p *pass) sayList(ctx context.Context, now *inForce, cluster string, entries []events.FleetEntry) error {
	h := p.hub
	body, err := json.Marshal(entries)
	if err != nil {
		return fmt.Errorf("list of cluster %s: %w", cluster, err)
	}
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	list, err := h.blobs.Put(ctx, blob.Root+".watcher.fleet."+events.EncodeToken(cluster), body)
	if err != nil {
		return busError{fmt.Errorf("store the list of cluster %s: %w", cluster, err)}
	}
	last := p.declared.lists[cluster]
	next := listed{0, h.log.epoch(), h.fleet.String(), h.FleetPath, now.commit, len(entries), 0, list}
	for _, e := range entries {
		if e.Held {
			next.held++
		}
	}
	if last.epoch == next.epoch && last.url == next.url && last.path == next.path && last.list == list {
		last.commit = next.commit // says the same of this commit
		p.declared.lists[cluster] = last
		return nil
	}
	cause := events.Cause{
		ID:          causeID("fleet", next.epoch, next.url, next.path, next.commit, cluster, list.Digest, strconv.FormatUint(last.stored, 10)),
		Correlation: "fleet@" + now.commit,
	}
	out, err := h.ledger.Publish(ctx, cause, events.Draft{
		Data:    &events.FleetObserved{URL: next.url, Path: next.path, Commit: next.commit, Count: next.count, Held: next.held, List: list},
		Address: events.Address{Cluster: cluster}, Expect: &events.Expectation{Last: last.stored},
	})
	if errors.Is(err, bus.ErrConflict) {
		return err
	}
	if err != nil {
		return busError{err}
	}
	next.stored = out[0].Stored
	p.declared.lists[cluster] = next
	h.logger.Info("fleet", "cluster", cluster, "applications", next.count, "held", next.held, "commit", next.commit)
	return nil
}
