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

// measure goes through the scenes.
func measure(ctx context.Context, o options, r *report, progress io.Writer) error {
	for _, n := range o.sizes {
		if err := services(ctx, o, r, progress, n); err != nil {
			return err
		}
	}
	if o.wants(partMemory) {
		for _, n := range o.sizes {
			if err := together(ctx, o, r, progress, n); err != nil {
				return err
			}
		}
	}
	if o.wants(partFiles) {
		return files(ctx, o, r, progress)
	}
	return nil
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
			if err := s.first(ctx, true); err != nil {
				return fmt.Errorf("first: %w", err)
			}
			if i < runs-1 {
				return nil
			}
			if o.wants(partMemory) {
				if err := s.memory(ctx); err != nil {
					return fmt.Errorf("memory: %w", err)
				}
			}
			for _, p := range wanted {
				began := time.Now()
				if err := p.measure(s, ctx); err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
				s.progress("%s: measured in %s", p.name, time.Since(began).Round(time.Second))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// together measures plumbline up, everything in one process.
func together(ctx context.Context, o options, r *report, progress io.Writer, n int) error {
	return with(ctx, o, r, progress, n, true, func(s *scene) error {
		if err := s.first(ctx, false); err != nil {
			return fmt.Errorf("first: %w", err)
		}
		return s.memory(ctx)
	})
}
