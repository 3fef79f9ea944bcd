// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

var (
	typeCommit    = events.TypeNamed("commit.observed")
	typeRendered  = events.TypeNamed("manifests.rendered")
	typeUnchanged = events.TypeNamed("manifests.unchanged")
	typeFailed    = events.TypeNamed("render.failed")
)

// view is what the log says of one application.
type view struct {
	newest   events.Order // of its commit.observed
	previous outcome
	stored   uint64 // where previous lies in the log
	// good is the last bundle by sequence, whatever failed since.
	good      *events.Manifests
	goodOrder events.Order
	// last is the stored sequence of the last event of each type, 0 for none.
	last map[*events.Type]uint64
	// whole is the name of a bundle that is known to be stored.
	whole string
}

// expect is what an outcome of a type is published under: nobody has published
// another one since, a bundle after either kind of bundle.
func (v *view) expect(t *events.Type, a events.Address) *events.Expectation {
	if t == typeFailed {
		return &events.Expectation{Last: v.last[t]}
	}
	filter := events.Root + ".manifests.*." + events.EncodeToken(a.Cluster) + "." + events.EncodeToken(a.Application)
	return &events.Expectation{Filter: filter, Last: max(v.last[typeRendered], v.last[typeUnchanged])}
}

// view is what is known of an application before an input: remembered, or asked
// for. again is set by a resync.
func (r *renderer) view(ctx context.Context, in events.Event, again bool) (note, error) {
	known, ok := r.notes.take(ctx, in)
	if !ok || again {
		known = note{}
		if known.tenure, ok = bus.TenureOf(ctx); ok {
			known.read = bus.Now(ctx)
		}
		var err error
		known.view, err = r.look(ctx, in, again)
		return known, err
	}
	known.newest = events.Order{Epoch: in.Epoch, Sequence: in.Sequence}
	if bus.OutlookOf(ctx) == bus.OutlookNewest {
		return known, nil
	}
	newest, err := r.conn.Last(ctx, typeCommit.Subject(in.Address))
	if err == nil {
		known.newest = events.Order{Epoch: newest.Epoch, Sequence: newest.Sequence}
	}
	if errors.Is(err, bus.ErrNone) {
		err = nil
	}
	return known, err
}

// look reads an application's last events; thoroughly, also whether what they
// refer to is still stored.
func (r *renderer) look(ctx context.Context, in events.Event, thorough bool) (view, error) {
	v := view{previous: outcome{phase: phaseNone}, last: map[*events.Type]uint64{}}
	types := []*events.Type{typeCommit, typeRendered, typeUnchanged, typeFailed}
	subjects := make([]string, len(types))
	for i, t := range types {
		subjects[i] = t.Subject(in.Address)
	}
	last, err := r.conn.LastOfEach(ctx, subjects...)
	if err != nil {
		return v, err
	}
	v.newest = events.Order{Epoch: last[0].Epoch, Sequence: last[0].Sequence}
	var outcomes []events.Event
	for i, e := range last[1:] {
		v.last[types[i+1]] = e.Stored
		if e.Type != nil {
			outcomes = append(outcomes, e)
		}
	}
	slices.SortFunc(outcomes, func(a, b events.Event) int { return bySequence(a, b, in.Epoch) })
	for _, e := range outcomes {
		v.add(e)
	}
	if thorough && v.good != nil && v.previous.phase != phaseFailed {
		sound, err := r.sound(ctx, v.good)
		if err != nil {
			return v, err
		}
		v.previous.lost = !sound
	}
	return v, nil
}

// bySequence orders outcomes: what is of the epoch comes after all that
// isn't; in it, sequence counts, and of two outcomes of one revision the later
// stored. Sequences of other epochs mean nothing.
func bySequence(a, b events.Event, epoch string) int {
	switch {
	case a.Epoch == epoch && b.Epoch == epoch:
		return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), cmp.Compare(a.Stored, b.Stored))
	case a.Epoch == epoch:
		return 1
	case b.Epoch == epoch:
		return -1
	}
	return cmp.Compare(a.Stored, b.Stored)
}

// add takes an outcome into the view that comes after those in it.
func (v *view) add(e events.Event) {
	v.previous, v.stored = outcome{order: events.Order{Epoch: e.Epoch, Sequence: e.Sequence}}, e.Stored
	switch d := e.Data.(type) {
	case *events.ManifestsRendered:
		v.previous.phase, v.previous.digest, v.good = phaseRendered, d.Digest, &d.Manifests
	case *events.ManifestsUnchanged:
		v.previous.phase, v.previous.digest, v.good = phaseUnchanged, d.Digest, &d.Manifests
	case *events.RenderFailed:
		v.previous.phase, v.previous.failed = phaseFailed, &failure{d.Reason, d.Message, d.File, d.Line, d.Object}
		return
	}
	v.goodOrder = v.previous.order
}

// tree returns a revision's tree, decoded once for all its applications. A
// source that can't be what the revision says is a *failure.
func (r *renderer) tree(ctx context.Context, c *events.CommitObserved) (*tree, error) {
	t, err := r.sources.get(ctx, c.Revision.Tree, func(ctx context.Context) ([]byte, error) {
		sealed, err := r.conn.Blobs().Get(ctx, c.Source)
		if err != nil {
			return nil, err
		}
		return r.key.DecryptSource(sealed)
	})
	switch {
	case errors.Is(err, seal.ErrSource):
		return nil, fail(events.ReasonIntegrity, "", 0, "the source of this commit can't be decrypted. Give watcher and renderer the same --source-key, then run plumbline sync")
	case errors.Is(err, errSource):
		return nil, fail(events.ReasonIntegrity, "", 0, "the source of this commit is not the tree %s, or not all of it", printable(c.Revision.Tree, 64))
	}
	return t, err
}
