// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// part is a group of figures that are measured together, on a scene.
type part struct {
	name    string
	least   int // applications; a smaller scene leaves it out
	most    int // applications; 0: any number
	measure func(*scene, context.Context) error
}

// parts are what is measured on a scene of services that run as processes of
// their own, in this order.
func parts() []part {
	return []part{
		{"one", 2, 0, (*scene).one},
		{"poll", 2, 100, (*scene).poll},
		{"nothing", 2, 100, (*scene).nothing},
		{"edit", 2, 100, (*scene).edits},
		{"all", 2, 300, (*scene).all},
		{"burst", 2, 100, (*scene).burst},
		{"train", 20, 100, (*scene).train},
		{"kill", 100, 100, (*scene).kill},
	}
}

// Parts that bring their own scenes.
const (
	partFirst  = "first"
	partMemory = "memory"
	partFiles  = "files"
)

func partNames() []string {
	names := []string{partFirst}
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return append(names, partMemory, partFiles)
}

func (o options) wants(name string) bool { return len(o.only) == 0 || slices.Contains(o.only, name) }

// measure goes through the scenes. What can't be measured is noted, and the
// others go on; its error is the end of ctx, or says how many failed.
func measure(ctx context.Context, o options, r *report, progress io.Writer) error {
	for _, n := range o.sizes {
		r.attempt(ctx, progress, fmt.Sprintf("services, N=%d", n), func() error { return services(ctx, o, r, progress, n) })
	}
	if o.wants(partMemory) {
		for _, n := range o.sizes {
			r.attempt(ctx, progress, fmt.Sprintf("plumbline up, N=%d", n), func() error { return together(ctx, o, r, progress, n) })
		}
	}
	if o.wants(partFiles) {
		r.attempt(ctx, progress, partFiles, func() error { return files(ctx, o, r, progress) })
	}
	if ctx.Err() == nil && len(r.Failures) > 0 {
		return fmt.Errorf("%d parts failed, see above", len(r.Failures))
	}
	return ctx.Err()
}

// attempt measures something, unless the bench is ended, and notes a failure.
func (r *report) attempt(ctx context.Context, progress io.Writer, what string, measure func() error) {
	if ctx.Err() != nil {
		return
	}
	if err := measure(); err != nil {
		fmt.Fprintf(progress, "bench: %s FAILED: %v\n", what, err)
		r.Failures = append(r.Failures, failed{what, err.Error()})
	}
}

// services measures with every service as a process of its own: a first
// convergence on a new cluster each, and everything else on the last of them.
func services(ctx context.Context, o options, r *report, progress io.Writer, n int) error {
	wanted := slices.DeleteFunc(parts(), func(p part) bool {
		return !o.wants(p.name) || n < p.least || p.most > 0 && n > p.most
	})
	runs := 1
	if o.wants(partFirst) && n <= 300 {
		runs = o.runs
	}
	if n > 100 && runs > 2 {
		runs = 2
	}
	if len(wanted) == 0 && !o.wants(partFirst) && !o.wants(partMemory) {
		return nil
	}
	for i := range runs {
		err := with(ctx, o, r, progress, n, false, func(s *scene) error {
			if i == runs-1 && o.wants(partMemory) {
				s.usage.follow()
			}
			if err := s.first(ctx, true); err != nil {
				return fmt.Errorf("first: %w", err)
			}
			if i < runs-1 {
				return nil
			}
			if o.wants(partMemory) {
				s.attempt(ctx, partMemory, s.memory)
			}
			for _, p := range wanted {
				s.attempt(ctx, p.name, func(ctx context.Context) error { return p.measure(s, ctx) })
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// attempt measures one part of a scene.
func (s *scene) attempt(ctx context.Context, name string, measure func(context.Context) error) {
	began := time.Now()
	s.report.attempt(ctx, s.out, fmt.Sprintf("%s, N=%d", name, s.n), func() error {
		if err := measure(ctx); err != nil {
			return fmt.Errorf("%w; the bus saw last:\n%s", err, s.heard())
		}
		s.progress("%s: measured in %s", name, time.Since(began).Round(time.Second))
		return nil
	})
}

// together measures plumbline up, everything in one process.
func together(ctx context.Context, o options, r *report, progress io.Writer, n int) error {
	return with(ctx, o, r, progress, n, true, func(s *scene) error {
		s.usage.follow()
		if err := s.first(ctx, false); err != nil {
			return fmt.Errorf("first: %w", err)
		}
		return s.memory(ctx)
	})
}
