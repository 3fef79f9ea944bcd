// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"fmt"
	"sync"

	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// maxBundles is how many bytes of encoded bundles are kept decoded. They are
// needed in bursts: when much is seen for the first time.
const maxBundles = 64 << 20

// bundles keeps decoded bundles by digest, the oldest falling out first.
type bundles struct {
	mu    sync.Mutex
	order []string
	kept  map[string]keptBundle
	size  int64
}

type keptBundle struct {
	bodies map[string]map[string]any // by object digest
	size   int64
}

func (b *bundles) get(digest string) (keptBundle, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k, ok := b.kept[digest]
	return k, ok
}

func (b *bundles) put(digest string, k keptBundle) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.kept[digest]; ok {
		return
	}
	b.kept[digest], b.size = k, b.size+k.size
	b.order = append(b.order, digest)
	for b.size > maxBundles && len(b.order) > 1 {
		oldest := b.order[0]
		b.order = b.order[1:]
		b.size -= b.kept[oldest].size
		delete(b.kept, oldest)
	}
}

// body is what Git declares of one object under an object digest; nil where
// the bundle that has it is not known any more.
func (a *Auditor) body(ctx context.Context, app *application, digest string) (map[string]any, error) {
	for bundle, at := range app.bundles {
		kept, ok := a.bundles.get(bundle)
		if !ok {
			data, err := a.conn.Blobs().Get(ctx, at)
			if err != nil {
				return nil, fmt.Errorf("bundle of %s: %w", app.name, err)
			}
			decoded, err := manifest.Decode(data)
			if err != nil {
				return nil, fmt.Errorf("bundle of %s: %w", app.name, err)
			}
			if got := decoded.Digest(); got != bundle {
				return nil, fmt.Errorf("bundle of %s: its digest is %s, announced as %s: %w", app.name, got, bundle, manifest.ErrBundle)
			}
			kept = keptBundle{bodies: map[string]map[string]any{}, size: int64(len(data))}
			for _, o := range decoded.Objects {
				kept.bodies[o.Digest] = o.Body
			}
			a.bundles.put(bundle, kept)
		}
		if o, ok := kept.bodies[digest]; ok {
			return o, nil
		}
	}
	return nil, nil
}
