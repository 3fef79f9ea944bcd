// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/fault"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// errLacking says that the store lost a body that an event names.
var errLacking = errors.New("the store has lost it")

// load reads a bundle and where its objects come from, and verifies it. Its
// error is terminal where the event is at fault, and wraps errLacking where
// the store has lost what it names.
func (a *applier) load(ctx context.Context, m *events.Manifests) (manifest.Bundle, error) {
	data, err := a.fetch(ctx, m.Bundle, "the bundle")
	if err != nil {
		return manifest.Bundle{}, err
	}
	bundle, err := manifest.Decode(data)
	if err == nil && bundle.Digest() != m.Digest {
		err = fmt.Errorf("its digest is %s", bundle.Digest())
	}
	if err != nil {
		return manifest.Bundle{}, fault.Terminal(events.ReasonIntegrity, "the bundle is not the one that the event names; "+renderedAnew, err)
	}
	places, err := a.places(ctx, m.Objects)
	if err != nil {
		return manifest.Bundle{}, err
	}
	for i := range bundle.Objects {
		o := &bundle.Objects[i]
		o.File, o.Line = places[o.Key()].File, places[o.Key()].Line
	}
	return bundle, nil
}

// renderedAnew is what is to be done about a bundle that can't be had.
const renderedAnew = "it is rendered anew within some minutes, or now by 'plumbline sync'"

// fetch reads a body that an event of the renderer names. What the event is at
// fault for is told from a body that is only lost: the renderer stores that again.
func (a *applier) fetch(ctx context.Context, b events.Blob, what string) ([]byte, error) {
	data, err := a.bus.Blobs().Get(ctx, b)
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, blob.ErrIntegrity):
		return nil, fault.Terminal(events.ReasonIntegrity, what+" in the store is not the one that the event names; "+renderedAnew, err)
	case errors.Is(err, blob.ErrName), errors.Is(err, bus.ErrDenied):
		return nil, fault.Terminal(events.ReasonIntegrity, "the event names something for "+what+" that no renderer has stored for this cluster; "+renderedAnew, err)
	case errors.Is(err, blob.ErrMissing):
		return nil, fault.RetryAfter(fmt.Errorf("read %s: %w: %w", what, errLacking, err), missingAgain)
	}
	return nil, fmt.Errorf("read %s: %w", what, err)
}

// places are the file and line of each object, by key.
func (a *applier) places(ctx context.Context, list events.DeclaredObjects) (map[string]events.DeclaredObject, error) {
	items := list.Items
	if list.Blob != nil {
		data, err := a.fetch(ctx, *list.Blob, "the list of the bundle's objects")
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, &items); err != nil {
			return nil, fault.Terminal(events.ReasonIntegrity, "the list of the bundle's objects can't be read; "+renderedAnew, err)
		}
	}
	places := make(map[string]events.DeclaredObject, len(items))
	for _, o := range items {
		places[o.Key()] = o
	}
	return places, nil
}

// lackingAfter is how many attempts go by without a word where the store lacks
// a bundle: while a log that was put back is told from the present one, it may.
const lackingAfter = 1

// lacking waits for a bundle that the store lost, at first without a word.
func (a *applier) lacking(t *task) []events.Draft {
	said := t.app.retries >= lackingAfter
	a.again(t, Plan{}, true)
	if !said {
		t.waits()
		return nil
	}
	return a.failWhole(t, events.ReasonBundleMissing, "the store has lost the bundle; "+renderedAnew)
}
