// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plumbline-dev/plumbline/test/rig"
)

// edit changes the marker of an object by hand, as kubectl would, and returns
// when the API server has answered.
func (s *scene) edit(ctx context.Context, p place, marker string) (time.Time, error) {
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, labelMarker, marker)
	_, err := s.rig.Kube.Dynamic.Resource(resources[p.kind]).Namespace(p.namespace).Patch(ctx, p.name,
		types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "kubectl-edit"})
	return time.Now(), err
}

// edits measures single edits, each of another application's object: who edits
// one again and again is in a fight, and healing waits longer each time.
func (s *scene) edits(ctx context.Context) error {
	for range min(s.rounds, s.n-s.touched) {
		i := s.touched
		s.touched++
		if err := s.rawOne(ctx, "edit, healed", i); err != nil {
			return err
		}
		p := place{"serviceaccount", application(i), "web"}
		before, mark := s.usage.now(), s.rig.Bus.Mark()
		from, err := s.edit(ctx, p, "by-hand")
		if err != nil {
			return err
		}
		healed, err := s.healed(ctx, "first", []place{p}, from)
		if err != nil {
			return err
		}
		waiting, cancel := context.WithTimeout(ctx, patience)
		e, err := s.rig.Bus.Wait(waiting, mark, rig.Of("divergence.detected", application(i)))
		cancel()
		if err != nil {
			return fmt.Errorf("no divergence.detected: %w", err)
		}
		s.report.add("edit, said", s.n, e.At.Sub(from))
		s.report.add("edit, healed", s.n, healed[0].Sub(from))
		if err := s.settle(ctx); err != nil {
			return err
		}
		s.report.used("edit", s.n, before, s.usage.now())
	}
	return nil
}

// healed waits until places have a marker, got after a moment before which
// they were edited.
func (s *scene) healed(ctx context.Context, marker string, places []place, edited time.Time) ([]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		changed := s.observer.watch()
		seen, err := s.observer.all(ctx, marker, places)
		if err != nil {
			return nil, err
		}
		late := true
		for _, at := range seen {
			late = late && at.After(edited)
		}
		if late {
			return seen, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("not healed: %w", ctx.Err())
		}
	}
}

// burst measures an edit of every application at once.
func (s *scene) burst(ctx context.Context) error {
	raw, rawBegan, err := s.rawAgain(ctx, "raw-burst", s.n)
	if err != nil {
		return err
	}
	s.spread("burst", raw, rawBegan, s.report.limit)
	places := placesOf(s.n, "web", "service")
	began := time.Now()
	before := s.usage.now()
	answered := make([]time.Time, s.n)
	if err := each(ctx, s.n, func(ctx context.Context, i int) (err error) {
		answered[i], err = s.edit(ctx, places[i], "by-hand")
		return err
	}); err != nil {
		return err
	}
	seen, err := s.healed(ctx, "first", places, began)
	if err != nil {
		return err
	}
	// Each counts from its own edit; one may be healed before its answer is here.
	waits := make([]time.Duration, s.n)
	for i, at := range seen {
		waits[i] = max(0, at.Sub(answered[i]))
	}
	slices.Sort(waits)
	s.report.add("burst, p50", s.n, waits[(len(waits)-1)/2])
	s.report.add("burst, last", s.n, waits[len(waits)-1])
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := s.requests(ctx, "burst, requests", began); err != nil {
		return err
	}
	s.report.used("burst", s.n, before, s.usage.now())
	return nil
}
