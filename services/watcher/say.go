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

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/fleet"
)

// say publishes the rejections and the lists that the bus doesn't hold yet.
func (p *pass) say(ctx context.Context, now *inForce) error {
	if err := p.sayRejections(ctx, now); err != nil {
		return err
	}
	if !now.memory.State.Complete {
		p.hub.logger.WarnContext(ctx, "no list of the fleet is published: a file can't be read, and what it declared before is not known; mend it",
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
		return publishing(err)
	}
	p.hub.logger.WarnContext(ctx, "declaration rejected", "file", r.File, "kind", r.Kind, "name", r.Name, "problem", r.Problems[0].Message, "line", r.Problems[0].Line)
	return nil
}

func rejectionDigest(r fleet.Rejection) string {
	text, err := json.Marshal(r)
	if err != nil {
		panic("watcher: texts can't be encoded: " + err.Error())
	}
	return causeID("rejection", string(text))
}

// rejectionKeys are those of what is refused, at most as many as an event
// carries.
func rejectionKeys(s fleet.State) []string {
	var keys []string
	for _, r := range s.Rejections {
		keys = append(keys, r.Key())
	}
	slices.Sort(keys)
	return keys[:min(len(keys), events.MaxInline)]
}

// encodeList is the body of a cluster's list.
func encodeList(cluster string, entries []events.FleetEntry) ([]byte, error) {
	body, err := json.Marshal(entries)
	if err != nil {
		return nil, fmt.Errorf("list of cluster %s: %w", cluster, err)
	}
	return body, nil
}

// sayList publishes the list of one cluster, unless the bus holds the same.
func (p *pass) sayList(ctx context.Context, now *inForce, cluster string, entries []events.FleetEntry) error {
	h := p.hub
	body, err := encodeList(cluster, entries)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	list, err := h.blobs.Put(ctx, blob.Root+".watcher.fleet."+events.EncodeToken(cluster), body)
	if err != nil {
		return busError{fmt.Errorf("store the list of cluster %s: %w", cluster, err)}
	}
	last := p.declared.lists[cluster]
	next := listed{
		epoch: h.log.epoch(), url: h.fleet.String(), path: h.FleetPath, commit: now.commit, count: len(entries), list: list,
	}
	if cluster == fleet.LocalCluster {
		next.rejections, next.rejected = rejectionKeys(now.memory.State), len(now.memory.State.Rejections)
	}
	for _, e := range entries {
		if e.Held {
			next.held++
		}
	}
	if last.epoch == next.epoch && last.of(h) && last.list == list && last.rejected == next.rejected && slices.Equal(last.rejections, next.rejections) {
		late, err := p.late(ctx, cluster, entries, last.stored)
		if err != nil {
			return err
		}
		if !late {
			last.commit = next.commit // says the same of this commit
			p.declared.lists[cluster] = last
			return nil
		}
	}
	cause := events.Cause{
		ID:          causeID("fleet", next.epoch, next.url, next.path, next.commit, cluster, list.Digest, strconv.FormatUint(last.stored, 10)),
		Correlation: "fleet@" + now.commit,
	}
	out, err := h.ledger.Publish(ctx, cause, events.Draft{
		Data: &events.FleetObserved{
			URL: next.url, Path: next.path, Commit: next.commit, Count: next.count, Held: next.held, List: list,
			Rejections: next.rejections, RejectionCount: next.rejected,
		},
		Address: events.Address{Cluster: cluster}, Expect: &events.Expectation{Last: last.stored},
	})
	if err != nil {
		return publishing(err)
	}
	next.stored = out[0].Stored
	p.declared.lists[cluster] = next
	h.logger.InfoContext(ctx, "fleet", "cluster", cluster, "applications", next.count, "held", next.held, "commit", next.commit)
	return nil
}

// late says that a revision of an application which a list lacks came after the
// list: of a watcher that slept while another one said the list, or of a process
// that ended in between. The list is to be said again, or the application would
// be taken for declared.
func (p *pass) late(ctx context.Context, cluster string, entries []events.FleetEntry, list uint64) (bool, error) {
	observed := events.TypeOf(&events.CommitObserved{})
	declared := map[string]bool{}
	for _, e := range entries {
		declared[observed.Subject(events.Address{Cluster: cluster, Application: e.Application})] = true
	}
	subjects, err := p.hub.ledger.Subjects(ctx, observed.Filter(cluster))
	if err != nil {
		return false, busError{err}
	}
	for _, subject := range subjects {
		if declared[subject] {
			continue
		}
		last, err := p.hub.ledger.Last(ctx, subject)
		if err != nil && !errors.Is(err, bus.ErrNone) {
			return false, busError{err}
		}
		if err == nil && last.Stored > list {
			p.hub.logger.WarnContext(ctx, "a revision of an application that is not declared came after the list of the fleet; the list is said again", "application", last.Application, "cluster", cluster)
			return true, nil
		}
	}
	return false, nil
}
