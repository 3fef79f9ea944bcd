// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"go.opentelemetry.io/otel/attribute"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// sourcePrefix is the subject that the chunks of sources are below.
const sourcePrefix = blob.Root + ".watcher.source"

// source is the blob of a root tree. It is looked for under the tree's name
// before anything is packed, so an unchanged tree costs one question.
func (r *reader) source(ctx context.Context, tree plumbing.Hash) (events.Blob, error) {
	if b, ok := r.sources[tree]; ok {
		return b, nil
	}
	if refused, ok := r.refused[tree]; ok {
		return events.Blob{}, refused
	}
	if r.damage.isSpoilt(tree) {
		return events.Blob{}, unmendable(errDamaged)
	}
	h := r.hub
	name := sourcePrefix + "." + h.key.Name(tree.String())
	ask, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	b, err := h.blobs.Stat(ask, name)
	switch {
	case err == nil:
	case errors.Is(err, blob.ErrMissing), errors.Is(err, blob.ErrIntegrity):
		b, err = r.send(ctx, name, tree)
		if r.damage.ofServer(err) {
			r.damage.spoil(tree)
			return events.Blob{}, unmendable(err)
		}
		var refused *sourceError
		if errors.As(err, &refused) {
			r.refused[tree] = refused
		}
		if err != nil {
			return events.Blob{}, err
		}
	default:
		return events.Blob{}, busError{err}
	}
	r.sources[tree] = b
	return b, nil
}

// send packs, encrypts and stores a tree.
func (r *reader) send(ctx context.Context, name string, tree plumbing.Hash) (b events.Blob, err error) {
	h := r.hub
	if err := h.heavy.Acquire(ctx, 1); err != nil {
		return events.Blob{}, err
	}
	defer h.heavy.Release(1)
	_, span := telemetry.Start(ctx, "source pack")
	pack, err := sourcePack(ctx, r.mirror.store, tree, h.Limits)
	span.SetAttributes(attribute.Int("plumbline.bytes", len(pack)))
	telemetry.End(span, err, "pack")
	if err != nil {
		return events.Blob{}, err
	}
	contentName, sealed := h.key.EncryptSource(pack)
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	ctx, span = telemetry.Start(ctx, "source put", attribute.Int("plumbline.bytes", len(sealed)))
	defer func() { telemetry.End(span, err, "bus") }()
	b, err = h.blobs.PutNamed(ctx, name, sealed)
	if errors.Is(err, blob.ErrExists) || errors.Is(err, blob.ErrIntegrity) {
		// The remains of another packing of the same tree are in the way.
		b, err = h.blobs.PutNamed(ctx, sourcePrefix+"."+contentName, sealed)
	}
	if err != nil {
		return events.Blob{}, busError{fmt.Errorf("store the source: %w", err)}
	}
	h.logger.InfoContext(ctx, "source sent", "repository", r.name, "tree", tree.String(), "bytes", b.Size)
	return b, nil
}
