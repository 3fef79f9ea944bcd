// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/test/faults"
)

// Seeds that the rig can't play are among the results, each with its reason,
// and the soak fails.
func TestSeedsThatCantBePlayedAreKept(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "a-file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := &settings{dir: file, results: filepath.Join(folder, "results.jsonl"), seed: 3, parallel: 1, count: 2, commit: "c1"}
	if err := s.soak(t.Context()); !errors.Is(err, faults.ErrUnfinished) {
		t.Errorf("the soak ends with %v", err)
	}
	results, err := faults.ReadResults(s.results, "c1")
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 2 {
		t.Fatalf("%d results, want 2", len(results))
	}
	for n, r := range results {
		if r.Seed != uint64(3+n) || r.Error == "" {
			t.Errorf("seed %d ends with %q", r.Seed, r.Error)
		}
	}
	if err := s.once(t.Context()); !errors.Is(err, faults.ErrUnfinished) {
		t.Errorf("one seed ends with %v", err)
	}
}

// One seed is added where that is asked for, and stands for no seed of another
// shape: soak runs that all the same, and only once.
func TestOneSeedIsAddedAsWhatItWas(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "a-file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := &settings{dir: file, results: filepath.Join(folder, "results.jsonl"), seed: 3, parallel: 1, count: 1, commit: "c1"}
	s.shape.Hold = time.Minute
	count := func() int {
		t.Helper()
		results, err := faults.ReadResults(s.results, "c1")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, r := range results {
			if r.Seed == 3 {
				n++
			}
		}
		return n
	}
	if err := s.once(t.Context()); !errors.Is(err, faults.ErrUnfinished) || count() != 1 {
		t.Errorf("one seed ends with %v, %d results", err, count())
	}
	s.shape.Hold = 0
	for range 2 {
		if err := s.soak(t.Context()); !errors.Is(err, faults.ErrUnfinished) || count() != 2 {
			t.Errorf("the soak ends with %v, %d results of the seed", err, count())
		}
	}
	s.results = ""
	if err := s.once(t.Context()); !errors.Is(err, faults.ErrUnfinished) {
		t.Errorf("one seed that isn't added ends with %v", err)
	}
}
