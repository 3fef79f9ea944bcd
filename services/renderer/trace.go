// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// source is the tree of a revision, read in a span.
func (r *renderer) source(ctx context.Context, c *events.CommitObserved) (*tree, error) {
	ctx, span := telemetry.Start(ctx, "source get", attribute.Int64("plumbline.bytes", c.Source.Size))
	t, err := r.tree(ctx, c)
	telemetry.End(span, err, "source")
	return t, err
}

// render renders in a span, which waits for a child too.
func (r *renderer) render(ctx context.Context, t *tree, path string) (result, error) {
	ctx, span := telemetry.Start(ctx, "render", attribute.String("plumbline.path", path))
	res, err := r.pool.render(ctx, t, path)
	span.SetAttributes(attribute.Int("plumbline.objects", len(res.Objects)))
	if err == nil && res.Failure != nil {
		telemetry.End(span, res.Failure, string(res.Failure.Reason))
		return res, nil
	}
	telemetry.End(span, err, "renderer")
	return res, err
}

// lookedUp counts a look-up in the render cache.
func (r *renderer) lookedUp(ctx context.Context, hit bool) {
	result := "miss"
	if hit {
		result = "hit"
	}
	r.lookups.Add(ctx, 1, metric.WithAttributes(attribute.String("result", result)))
}
