// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// The healthy application is on time if each of its commits has converged within
// lateness times what half of them take once all is quiet, on the same machine in
// the same minute; or within leastLate, if that is longer: the declaration of a
// hundred applications at once is work of its own, in whose queues it stands. Two
// renders that take until the timeout, one after the other, are too late.
const (
	lateness  = 30
	leastLate = 30 * time.Second
	calmWaves = 5
)

// neighbour is the healthy application beside the corpus.
type neighbour struct {
	*stage
	cancel context.CancelFunc
	group  sync.WaitGroup
	waves  []wave
}

// wave is one commit of the healthy application.
type wave struct {
	took   time.Duration
	stages string // when each of its events was, from the commit
}

// keepHealthy commits to the healthy application again and again, and awaits
// each commit's convergence.
func (s *stage) keepHealthy(t *testing.T) *neighbour {
	t.Helper()
	ctx, cancel := context.WithCancel(s.alive)
	n := &neighbour{stage: s, cancel: cancel}
	n.group.Go(func() {
		pace := time.NewTicker(500 * time.Millisecond)
		defer pace.Stop()
		for ctx.Err() == nil {
			n.wave(t)
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
		}
	})
	return n
}

// converges waits until a commit of the healthy application that is observed
// from now on has converged.
func (s *stage) converges(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	commits := map[string]bool{}
	_, err := s.Bus.Wait(ctx, s.Bus.Mark(), func(e rig.Seen) bool {
		switch d := e.Data.(type) {
		case *events.CommitObserved:
			commits[d.Revision.Commit] = e.Application == "healthy"
		case *events.ConvergenceCompleted:
			return commits[d.Revision.Commit]
		}
		return false
	})
	if err != nil {
		return fmt.Errorf("the healthy application: %w", err)
	}
	return nil
}

// onTime ends the commits and judges them.
func (n *neighbour) onTime(t *testing.T) {
	t.Helper()
	n.cancel()
	n.group.Wait()
	beside := n.waves
	n.waves = nil
	for range calmWaves {
		if n.alive.Err() == nil {
			n.wave(t)
		}
	}
	if len(beside) == 0 || len(n.waves) == 0 {
		if !t.Failed() {
			t.Error("the healthy application never converged")
		}
		return
	}
	half, last := middle(beside)
	calm, _ := middle(n.waves)
	slowest := slices.IndexFunc(beside, func(w wave) bool { return w.took == last })
	t.Logf("beside the corpus the healthy application converged %d times: half within %s, all within %s (commit %d:%s); in calm half within %s",
		len(beside), half.Round(time.Millisecond), last.Round(time.Millisecond), slowest+1, beside[slowest].stages, calm.Round(time.Millisecond))
	late := max(leastLate, lateness*calm)
	for i, w := range beside {
		if w.took > late {
			t.Errorf("commit %d of the healthy application converged after %s, and %s is late:%s", i+1, w.took, late, w.stages)
		}
	}
}

// middle is what half of the waves took, and what all did.
func middle(waves []wave) (half, all time.Duration) {
	sorted := slices.SortedFunc(slices.Values(waves), func(a, b wave) int { return int(a.took - b.took) })
	return sorted[len(sorted)/2].took, sorted[len(sorted)-1].took
}

// wave makes one commit and awaits its convergence.
func (n *neighbour) wave(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(n.alive, patience)
	defer cancel()
	mark, begun := n.Bus.Mark(), time.Now()
	commit, err := n.home.Commit(gitserver.Commit{Files: healthyFiles(mark)})
	if err == nil {
		err = n.home.Push()
	}
	if err == nil {
		err = n.Ring(ctx, n.home)
	}
	if err == nil {
		_, err = n.Bus.Wait(ctx, mark, func(e rig.Seen) bool {
			c, ok := e.Data.(*events.ConvergenceCompleted)
			return ok && c.Revision.Commit == commit
		})
	}
	if err != nil {
		t.Errorf("the healthy application: %v", err)
		if errors.Is(err, context.DeadlineExceeded) {
			n.over(fmt.Errorf("the pipeline stands still: the healthy application's commit %.8s has not converged after %s", commit, patience))
		}
		n.cancel()
		return
	}
	w := wave{took: time.Since(begun)}
	var stages strings.Builder
	for _, e := range n.Bus.Since(mark) {
		if e.Application == "healthy" {
			fmt.Fprintf(&stages, " %s %s", e.Type.Name(), e.Time.Sub(begun).Round(time.Millisecond))
		}
	}
	w.stages = stages.String()
	n.waves = append(n.waves, w)
}
