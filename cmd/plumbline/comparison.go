// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/cluster"
	"github.com/plumbline-dev/plumbline/internal/compare"
	"github.com/plumbline-dev/plumbline/internal/explain"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/seal"
	"github.com/plumbline-dev/plumbline/internal/status"
)

// comparison is one application's, under way.
type comparison struct {
	app      *explain.Application
	all      []*explain.Application
	reader   *cluster.Reader
	key      seal.DigestKey
	observe  bool
	progress *progress
	out      differences
}

// atOnce is how many objects are read at a time.
const atOnce = 8

func (c *comparison) run(ctx context.Context, bundle manifest.Bundle) error {
	places := map[string]events.DeclaredObject{}
	for _, o := range c.app.Objects() {
		places[o.Digest+" "+o.Name] = o
	}
	declared := map[string]bool{}
	var work []func(context.Context) (*objectDifference, error)
	for _, o := range bundle.Objects {
		resolved, err := c.reader.Resolve(o.Object, bundle.Namespace)
		if err != nil {
			return err
		}
		at := places[o.Digest+" "+o.Name]
		o.Object, o.File, o.Line = resolved, at.File, at.Line
		declared[resolved.Key()] = true
		work = append(work, func(ctx context.Context) (*objectDifference, error) { return c.declared(ctx, o) })
	}
	owned := c.app.Owned()
	for _, key := range slices.Sorted(func(yield func(string) bool) {
		for key := range owned {
			if !declared[key] && !yield(key) {
				return
			}
		}
	}) {
		work = append(work, func(ctx context.Context) (*objectDifference, error) { return c.left(ctx, owned[key]) })
	}
	results := make([]*objectDifference, len(work))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	var done atomic.Int64
	for i, do := range work {
		group.Go(func() (err error) {
			results[i], err = do(ctx)
			c.progress.step(int(done.Add(1)), len(work))
			return err
		})
	}
	err := group.Wait()
	c.progress.end()
	if err != nil {
		return err
	}
	c.out.Objects = []objectDifference{}
	for _, r := range results {
		if r != nil {
			c.out.Objects = append(c.out.Objects, *r)
		}
	}
	return nil
}

// declared compares an object of the bundle.
func (c *comparison) declared(ctx context.Context, o manifest.Object) (*objectDifference, error) {
	out := &objectDifference{Object: o.Object, State: stateSame, File: o.File, Line: o.Line}
	live, err := c.reader.Get(ctx, o.Object)
	if apierrors.IsForbidden(err) {
		out.State, out.Message = stateUnknown, fmt.Sprintf("this identity may not get %s", o.Kind)
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	desired := o.Body
	if !c.observe {
		desired = compare.Stamped(desired, c.app.Application, o.Digest)
	}
	if live == nil || live.GetDeletionTimestamp() != nil {
		out.State = stateCreate
		if live != nil {
			out.Message = "it is being deleted, and made again after that"
		}
		out.Diff, err = unified(o, nil, o.Body, c.app.Manifests().Revision.Commit)
		return out, err
	}
	result := compare.Bodies(desired, live.Object, compare.Comparing{
		Owners: compare.OwnersOf(live.GetManagedFields()), Secret: c.key,
		Intact: !c.observe && c.intact(o, live),
	})
	count, _ := compare.Counted(c.app.Manifests().Declaration.Audit.Ignore, o.Object, result.Differences)
	for _, d := range result.Differences {
		f := fieldDifference{FieldDifference: d.FieldDifference}
		f.Ignored = !slices.ContainsFunc(count, func(one compare.Difference) bool { return one.Path == d.Path })
		if d.Writer != nil {
			f.Writer = d.Writer.Manager
		}
		out.Fields = append(out.Fields, f)
	}
	if seal.IsSecret(desired) && c.key.Zero() {
		out.Message = "its values are not compared: there is no digest key at hand (--digest-key)"
	}
	if len(count) == 0 {
		return out, nil
	}
	out.State = stateChanged
	out.Diff, err = changed(o, live, desired, withoutMark(count), c.app.Manifests().Revision.Commit)
	return out, err
}

// withoutMark leaves out that our own annotation differs, as it does wherever
// Git's object is a new one, unless nothing else does.
func withoutMark(differ []compare.Difference) []compare.Difference {
	mark := "/metadata/annotations/" + compare.Escape(manifest.AnnotationObject)
	rest := slices.DeleteFunc(slices.Clone(differ), func(d compare.Difference) bool { return d.Path == mark })
	if len(rest) == 0 {
		return differ
	}
	return rest
}

// intact reports whether the applier's entry is as it learnt it: what that
// lacks was never ours.
func (c *comparison) intact(o manifest.Object, live *unstructured.Unstructured) bool {
	learnt := c.app.Learnt(o.Key(), o.Digest)
	return learnt != "" && live.GetAnnotations()[manifest.AnnotationObject] == o.Digest && compare.Fields(live.GetManagedFields()) == learnt
}

// left judges an object that the applier holds and Git declares no more; nil
// where it is gone.
func (c *comparison) left(ctx context.Context, o events.Object) (*objectDifference, error) {
	live, err := c.reader.Get(ctx, o)
	if apierrors.IsForbidden(err) {
		return &objectDifference{Object: o, State: stateUnknown, Message: fmt.Sprintf("this identity may not get %s", o.Kind)}, nil
	}
	if err != nil || live == nil || live.GetLabels()[manifest.LabelApplication] != c.app.Application {
		return nil, err // gone, or no longer this application's
	}
	out := &objectDifference{Object: o, State: statePrune}
	for _, d := range explain.Declarations(o, c.all) {
		if d.Cluster == c.app.Cluster && d.Application != c.app.Application {
			out.State, out.Message = statePassed, "it passes to application "+d.Application
			return out, nil
		}
	}
	switch {
	case !c.app.Manifests().Declaration.Converge.Prune || c.observe:
		out.State, out.Message = stateLeft, "it is no longer in Git, and stays: prune is off"
	case c.out.Hold != "":
		out.State, out.Message = stateHeld, fmt.Sprintf("it waits for: plumbline approve %s %s", c.app.Application, status.Short(c.out.Hold))
	case live.GetDeletionTimestamp() != nil:
		out.Message = "it is being deleted"
	}
	return out, nil
}
