// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// unreadable says that a body can't be had, whoever asks: it is gone, it is
// another one, or what names it names nothing of ours. An event that says so is
// no reason to fail: what it should have said is said anew.
func unreadable(err error) bool {
	return errors.Is(err, blob.ErrMissing) || errors.Is(err, blob.ErrIntegrity) || errors.Is(err, blob.ErrName) || errors.Is(err, bus.ErrDenied)
}

// sound reports whether all that a bundle's event refers to is stored, and the
// bundle is the one that it names: whoever applies it must find it so.
func (r *renderer) sound(ctx context.Context, m *events.Manifests) (bool, error) {
	data, err := r.conn.Blobs().Get(ctx, m.Bundle)
	if err != nil {
		if unreadable(err) {
			err = nil
		}
		return false, err
	}
	if b, err := manifest.Decode(data); err != nil || b.Digest() != m.Digest {
		return false, nil //nolint:nilerr // it is no bundle, or another one
	}
	list, err := r.objects(ctx, m)
	return len(list) == m.Objects.Count, err
}

// objects returns the object list of a bundle's event; none where it can't be
// read any more.
func (r *renderer) objects(ctx context.Context, m *events.Manifests) ([]events.DeclaredObject, error) {
	if m == nil {
		return nil, nil
	}
	if m.Objects.Blob == nil {
		return m.Objects.Items, nil
	}
	data, err := r.conn.Blobs().Get(ctx, *m.Objects.Blob)
	if unreadable(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []events.DeclaredObject
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, nil //nolint:nilerr // it is no list: nothing is known of the time before
	}
	return list, nil
}
