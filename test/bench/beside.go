// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"time"
)

// rawOne is the raw limit of one change: one apply, seen.
func (s *scene) rawOne(ctx context.Context, measure string, i int) error {
	marker := s.marker()
	began := time.Now()
	if err := s.raw.apply(ctx, "configmap", application(i), "raw-one", marker); err != nil {
		return err
	}
	seen, err := s.observer.all(ctx, marker, []place{{"configmap", application(i), "raw-one"}})
	if err != nil {
		return err
	}
	s.report.limit(measure, s.n, seen[0].Sub(began))
	return nil
}

// rawAll is the raw limit of one change in every application, without and with
// the writes of a record before and after.
func (s *scene) rawAll(ctx context.Context, run int) error {
	if run == 0 { // what it changes has to be there
		if _, err := s.raw.write(ctx, s.n, "raw-all", s.marker(), unrecorded, "configmap"); err != nil {
			return err
		}
		for i := range s.n {
			if err := s.raw.begin(ctx, application(i)); err != nil && !exists(err) {
				return err
			}
		}
	}
	for how, measure := range map[recorded]string{unrecorded: "all", updated: "all, raw with records"} {
		seen, began, err := s.rawChange(ctx, s.n, "raw-all", how)
		if err != nil {
			return err
		}
		s.spread(measure, seen, began, s.report.limit)
	}
	return nil
}

// rawChange writes one object in each of n applications by the raw program, and
// returns when each was seen, and when it began.
func (s *scene) rawChange(ctx context.Context, n int, name string, how recorded) (seen []time.Time, began time.Time, err error) {
	marker := s.marker()
	if began, err = s.raw.write(ctx, n, name, marker, how, "configmap"); err != nil {
		return nil, began, err
	}
	seen, err = s.observer.all(ctx, marker, placesOf(n, name, "configmap"))
	return seen, began, err
}

// rawAgain is the raw limit of what writes one object in each of n applications:
// it changes what it has made before.
func (s *scene) rawAgain(ctx context.Context, name string, n int) (seen []time.Time, began time.Time, err error) {
	if _, _, err := s.rawChange(ctx, n, name, unrecorded); err != nil {
		return nil, began, err
	}
	return s.rawChange(ctx, n, name, unrecorded)
}

// rawLast is the raw limit of the last of n changes at once.
func (s *scene) rawLast(ctx context.Context, measure string, n int) error {
	seen, began, err := s.rawAgain(ctx, "raw-last", n)
	if err == nil {
		s.report.limit(measure, s.n, slices.MaxFunc(seen, time.Time.Compare).Sub(began))
	}
	return err
}
