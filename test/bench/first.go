// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"time"
)

var (
	completed = map[string]bool{"convergence.completed": true}
	rendered  = map[string]bool{"manifests.rendered": true, "manifests.unchanged": true}
)

// first declares all applications at once and waits until the last object of
// the last one is there. With limit it is measured, beside the raw program,
// which writes objects of the same kinds into the same namespaces before and
// after.
func (s *scene) first(ctx context.Context, limit bool) error {
	if _, err := s.pushSilently(ctx, s.repo, sources(s.n, "first")); err != nil {
		return err
	}
	if limit && s.n <= 300 {
		if err := s.rawFirst(ctx); err != nil {
			return err
		}
	}
	s.progress("first convergence")
	mark, before := s.rig.Bus.Mark(), s.usage.now()
	from := time.Now()
	pushed, err := s.push(ctx, s.rig.Fleet, map[string]string{"fleet.yaml": declarations(s.repo, s.n, "10m")})
	if err != nil {
		return err
	}
	seen, err := s.observer.all(ctx, "first", placesOf(s.n, "web", kinds...))
	if err != nil {
		return err
	}
	last := slices.MaxFunc(seen, time.Time.Compare).Sub(pushed)
	if _, err := s.eachSaid(ctx, mark, completed, s.n); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	s.progress("first convergence: last object after %s", last)
	if !limit {
		s.report.add("up first convergence", s.n, last)
		return nil
	}
	now := s.usage.now()
	s.report.add("first convergence", s.n, last)
	if err := s.requests(ctx, "first convergence, requests", from); err != nil {
		return err
	}
	s.report.used("first convergence", s.n, before, now)
	return nil
}

// rawFirst is the raw limit of a first convergence: the objects alone, and
// with a record of each application that is made before and written after.
func (s *scene) rawFirst(ctx context.Context) error {
	for _, row := range []struct {
		measure, name string
		how           recorded
	}{
		{"", "raw-warm", unrecorded}, // what a new API server does once is in neither
		{"first convergence", "raw-alone", unrecorded},
		{"first convergence, raw with records", "raw-recorded", created},
	} {
		n := s.n
		if row.measure == "" {
			n = min(n, 20)
		}
		began, err := s.raw.write(ctx, n, row.name, "first", row.how, kinds...)
		if err != nil {
			return err
		}
		seen, err := s.observer.all(ctx, "first", placesOf(n, row.name, kinds...))
		if err != nil {
			return err
		}
		if row.measure != "" {
			s.report.limit(row.measure, s.n, slices.MaxFunc(seen, time.Time.Compare).Sub(began))
		}
	}
	return nil
}
