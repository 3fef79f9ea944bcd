// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/plumbline-dev/plumbline/test/faults"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// seedsOfCluster is how many seeds a cluster is used for: what they leave in
// it grows.
const seedsOfCluster = 8

// once runs the one seed, and adds what it came to where that is asked for.
func (s *settings) once(ctx context.Context) error {
	if err := s.folder(); err != nil {
		return err
	}
	l := lane{settings: s, number: 0}
	defer l.close()
	result := l.run(ctx, s.seed)
	if s.results != "" {
		if err := faults.AppendResult(s.results, result); err != nil {
			return err
		}
	}
	return faults.Verdict([]faults.Result{result})
}

// soak runs seeds in lanes, those that have a result left out.
func (s *settings) soak(ctx context.Context) error {
	if err := s.folder(); err != nil {
		return err
	}
	done, err := faults.ReadResults(s.results, s.commit)
	if err != nil {
		return err
	}
	seeds := make(chan uint64)
	go s.deal(ctx, seeds, done)
	var lanes sync.WaitGroup
	var writing sync.Mutex
	errs := make([]error, s.parallel)
	for n := range s.parallel {
		lanes.Go(func() {
			l := lane{settings: s, number: n}
			defer l.close()
			for seed := range seeds {
				result := l.run(ctx, seed)
				if ctx.Err() != nil {
					return
				}
				if result.Error != "" { // what it left behind is not for the next one
					l.close()
				}
				writing.Lock()
				errs[n] = errors.Join(errs[n], faults.AppendResult(s.results, result))
				writing.Unlock()
			}
		})
	}
	lanes.Wait()
	return errors.Join(append(errs, s.summarize())...)
}

// summarize says what all seeds of this commit come to together.
func (s *settings) summarize() error {
	all, err := faults.ReadResults(s.results, s.commit)
	if err != nil {
		return err
	}
	violations := 0
	for _, r := range all {
		violations += len(r.Violations)
	}
	fmt.Printf("%d seeds, %d violations; %s\n", len(all), violations, faults.Isolate(all))
	return faults.Verdict(all)
}

// deal hands seeds out until it is enough. A seed ran if it did so with the same
// shape and the same faults: else it was another plan.
func (s *settings) deal(ctx context.Context, seeds chan<- uint64, done []faults.Result) {
	defer close(seeds)
	ran := map[string]bool{}
	for _, r := range done {
		ran[r.Again] = true
	}
	from := time.Now()
	for seed, n := s.seed, 0; s.count == 0 || n < s.count; seed++ {
		if ran[s.shape.Again(seed, s.names)] {
			continue
		}
		if s.limit > 0 && time.Since(from) > s.limit {
			return
		}
		select {
		case <-ctx.Done():
			return
		case seeds <- seed:
			n++
		}
	}
}

func (s *settings) folder() (err error) {
	if s.dir == "" {
		s.dir, err = os.MkdirTemp("", "plumbline-faults-")
	}
	return err
}

// lane runs one seed at a time on a cluster that it keeps for several.
type lane struct {
	*settings
	number  int
	cluster *kubelab.Cluster
	used    int // seeds on this cluster
	opened  int // clusters
}

// run plays a seed. What kept it from being played to the end is in the result.
func (l *lane) run(ctx context.Context, seed uint64) faults.Result {
	result, err := l.play(ctx, seed)
	result.Seed, result.Commit, result.Machine, result.Again = seed, l.commit, machine(), l.shape.Again(seed, l.names)
	if err != nil {
		result.Error = err.Error()
	}
	l.tell(result)
	return result
}

func (l *lane) play(ctx context.Context, seed uint64) (faults.Result, error) {
	if err := l.open(ctx); err != nil {
		return faults.Result{}, err
	}
	l.used++
	shape := l.shape
	shape.Tag = fmt.Sprintf("%d%d", l.number, l.opened)
	dir := filepath.Join(l.dir, "seed-"+strconv.FormatUint(seed, 10))
	result, err := faults.Run(ctx, faults.Options{
		Setting: faults.Setting{Dir: dir, Bin: l.bin, Cluster: l.cluster, Has: faults.Possible()}, Seed: seed, Shape: shape, Faults: l.kinds, Log: os.Stdout,
	})
	if err == nil && len(result.Violations) == 0 && !l.keep {
		result.History = ""
		err = os.RemoveAll(dir)
	}
	return result, err
}

// open has a cluster be there that few seeds have used.
func (l *lane) open(ctx context.Context) error {
	if l.used == seedsOfCluster {
		l.close()
	}
	if l.cluster != nil {
		return nil
	}
	l.opened++
	dir := filepath.Join(l.dir, fmt.Sprintf("cluster-%d-%d", l.number, l.opened))
	cluster, err := kubelab.Start(ctx, kubelab.Options{Dir: dir, Progress: os.Stderr})
	if err != nil {
		return err
	}
	l.cluster, l.used = cluster, 0
	return nil
}

func (l *lane) tell(r faults.Result) {
	for _, v := range r.Violations {
		fmt.Printf("seed %d: %s\n", r.Seed, v)
	}
	if r.Error != "" {
		fmt.Printf("seed %d: not played to the end: %s\n", r.Seed, r.Error)
	}
	fmt.Printf("seed %d: %d ref changes, %d faults, %d events, %d writes, %d violations in %s\n",
		r.Seed, r.RefChanges, r.Struck(), r.Events, r.Writes, len(r.Violations), r.Took.Round(time.Second))
	if len(r.Violations) > 0 || r.Error != "" {
		fmt.Printf("seed %d: history %s; again: %s\n", r.Seed, r.History, r.Again)
	}
}

// close ends the lane's cluster.
func (l *lane) close() {
	if l.cluster == nil {
		return
	}
	if err := errors.Join(l.cluster.Resume(), l.cluster.Kill(), os.RemoveAll(l.cluster.Dir())); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
	}
	l.cluster = nil
}
