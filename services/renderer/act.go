// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/failpoint"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/seal"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// made is what a revision has come to: a failure, or a bundle that is stored.
type made struct {
	*known
	cached bool // nothing was rendered to know it
}

// revise gives one revision its outcome. again is set by a resync.
func (r *renderer) revise(ctx context.Context, in events.Event, again bool) ([]events.Draft, error) {
	commit, ok := in.Data.(*events.CommitObserved)
	if !ok {
		return nil, fmt.Errorf("a %s is no revision", in.Type.Name())
	}
	if !again && bus.OutlookOf(ctx) == bus.OutlookSuperseded {
		return nil, nil
	}
	order := events.Order{Epoch: in.Epoch, Sequence: in.Sequence}
	known, err := r.view(ctx, in, again)
	if err != nil {
		return nil, err
	}
	v := known.view
	if begin(order, v.newest, v.previous, again) == stepNone {
		return nil, nil
	}
	m, err := r.make(ctx, in.Address, commit, v)
	if err != nil {
		return nil, err
	}
	now := outcome{order: order, digest: m.digest, failed: m.failure}
	decision := decide(order, v.previous, now)
	if decision.phase == phaseNone {
		return nil, nil
	}
	payload, err := r.payload(ctx, decision, order, commit, v, m)
	if err != nil {
		return nil, err
	}
	d := events.Draft{Address: in.Address, Data: payload, Expect: v.expect(events.TypeOf(payload), in.Address)}
	if v.previous.phase != phaseNone && v.previous.order == order {
		// A second outcome of one revision is another event.
		d.Variant = fmt.Sprintf("after %d", v.stored)
	}
	r.notes.keep(ctx, in, known)
	return []events.Draft{d}, nil
}

// make finds out what a revision comes to: it is known, or it is rendered.
func (r *renderer) make(ctx context.Context, a events.Address, c *events.CommitObserved, v view) (made, error) {
	t, err := r.source(ctx, c)
	if err != nil {
		return madeOf(err, nil)
	}
	app := a.Cluster + "/" + a.Application
	p := params{cluster: a.Cluster, path: c.Declaration.Source.Path, namespace: c.Declaration.Namespace, recipient: c.Declaration.Recipient, version: r.version}
	k, err := r.recall(ctx, app, p, t, v.whole)
	if err != nil {
		return madeOf(err, nil)
	}
	r.lookedUp(ctx, k != nil)
	if k != nil {
		return made{k, true}, nil
	}
	res, err := r.render(ctx, t, p.path)
	if err != nil {
		return madeOf(err, nil)
	}
	if res.Failure == nil {
		k, err = r.store(ctx, a, res, c.Declaration, v)
	} else {
		err = res.Failure
	}
	m, err := madeOf(err, k)
	if err != nil {
		return m, err
	}
	m.params, m.reads = p, res.reads
	if m.reads != nil && (m.failure == nil || m.failure.lasting()) {
		r.history.keep(app, m.known)
	}
	return m, nil
}

// madeOf makes an outcome of a failure, and leaves other errors errors.
func madeOf(err error, k *known) (made, error) {
	var f *failure
	switch {
	case errors.As(err, &f):
		bounded := f.bounded()
		return made{known: &known{failure: &bounded}}, nil
	case errors.Is(err, errSource):
		return made{known: &known{failure: fail(events.ReasonIntegrity, "", 0, "the source of this commit is not all of its tree")}}, nil
	}
	return made{known: k}, err
}

// recall finds a known render whose bundle is still stored, as whole is.
func (r *renderer) recall(ctx context.Context, app string, p params, t *tree, whole string) (*known, error) {
	for {
		k, err := r.history.find(app, p, t)
		if err != nil || k == nil || k.failure != nil || k.bundle.Name == whole {
			return k, err
		}
		has, err := r.conn.Blobs().Has(ctx, k.bundle)
		if err != nil || has {
			return k, err
		}
		r.history.drop(app, k)
	}
}

// store makes a bundle of what was rendered and stores it, unless the last
// good one is the same, sealed to the same recipient: sealing is random, and
// a bundle is sealed anew only when it is another.
func (r *renderer) store(ctx context.Context, a events.Address, res result, d events.Declaration, v view) (*known, error) {
	key := r.key.DigestKey(a.Cluster)
	b, err := assemble(res.Objects, d, key)
	if err != nil {
		return nil, err
	}
	k := &known{digest: b.Digest(), objects: declared(b)}
	if v.good != nil && v.good.Digest == k.digest && v.good.Declaration.Recipient == d.Recipient {
		sound, err := r.sound(ctx, v.good)
		if err != nil {
			return nil, err
		}
		if sound {
			k.bundle = v.good.Bundle
			return k, nil
		}
	}
	if k.bundle, err = r.put(ctx, a, b, d.Recipient, key); err != nil {
		return k, err
	}
	return k, failpoint.Hit(failpoint.RendererAfterBundle)
}

func (r *renderer) put(ctx context.Context, a events.Address, b manifest.Bundle, recipient string, key seal.DigestKey) (events.Blob, error) {
	s, err := sealed(b, recipient, key)
	if err != nil {
		return events.Blob{}, err
	}
	data, err := manifest.Encode(s)
	if err != nil {
		return events.Blob{}, err
	}
	ctx, span := telemetry.Start(ctx, "bundle put", attribute.Int("plumbline.bytes", len(data)), attribute.Int("plumbline.objects", len(b.Objects)))
	stored, err := r.conn.Blobs().PutNew(ctx, prefix(a.Cluster), data) // its digest is new
	telemetry.End(span, err, "bus")
	return stored, err
}

func prefix(cluster string) string { return blob.Root + ".renderer." + events.EncodeToken(cluster) }

// payload is the event's content.
func (r *renderer) payload(ctx context.Context, d verdict, order events.Order, c *events.CommitObserved, v view, m made) (events.Payload, error) {
	if d.phase == phaseFailed {
		f := m.failure
		return &events.RenderFailed{
			Revision: c.Revision, Declaration: c.Declaration,
			Reason: f.Reason, Message: f.Message, File: f.File, Line: f.Line, Object: f.Object,
		}, nil
	}
	list, err := r.dated(ctx, order, c, v, m)
	if err != nil {
		return nil, err
	}
	all := events.Manifests{
		Revision: c.Revision, Declaration: c.Declaration, DeclarationDigest: c.DeclarationDigest,
		Digest: m.digest, Bundle: m.bundle, Objects: list, ReadSet: m.reads.event(), Renderer: r.version,
	}
	if d.phase == phaseUnchanged {
		return &events.ManifestsUnchanged{Manifests: all, Rendered: !m.cached}, nil
	}
	return &events.ManifestsRendered{Manifests: all, Cached: m.cached, RecoveredFrom: d.recoveredFrom}, nil
}

// maxInlineBytes keeps a list of long names out of the event.
const maxInlineBytes = 32 << 10

// dated is the object list of the event: each object with the revision in
// which it last changed.
func (r *renderer) dated(ctx context.Context, order events.Order, c *events.CommitObserved, v view, m made) (events.DeclaredObjects, error) {
	before, err := r.objects(ctx, v.good)
	if err != nil {
		return events.DeclaredObjects{}, err
	}
	items := append([]events.DeclaredObject(nil), m.objects...)
	author := c.Revision.Author.Name
	if author == "" {
		author = c.Revision.Author.Email
	}
	this := events.Change{Commit: c.Revision.Commit, Author: author, When: c.Revision.Author.When, Sequence: order.Sequence}
	since(items, before, this, v.goodOrder.Epoch == order.Epoch)
	list := events.DeclaredObjects{Count: len(items), Items: items}
	data, err := json.Marshal(items)
	if err != nil {
		return list, fmt.Errorf("write object list: %w", err)
	}
	if len(items) <= events.MaxInline && len(data) <= maxInlineBytes {
		return list, nil
	}
	b, err := r.conn.Blobs().Put(ctx, prefix(c.Declaration.Cluster), data)
	list.Items, list.Blob = nil, &b
	return list, err
}
