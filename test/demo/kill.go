// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/rig"
)

const stock = "shop-stock"

// tries are how often the applier may be through with what it applies before it is
// killed among it.
const tries = 3

// kill kills the applier in mid-apply. Where it was through before, as this process
// or the machine was slow, it is given as many objects more.
func (s *story) kill(ctx context.Context) error {
	for n := 1; n <= tries; n++ {
		before, all := (n-1)*bulk, n*bulk
		commit, err := s.push(ctx, s.shop, gitserver.Commit{Files: map[string]string{"deploy/stock/items.yaml": bulkFile(all)}, Message: "Take stock"})
		if err != nil {
			return err
		}
		if n == 1 {
			declaration := gitserver.Commit{Files: map[string]string{"stock.yaml": bulkFleet}, Message: "Declare the stock"}
			if _, err := s.push(ctx, s.rig.Fleet, declaration); err != nil {
				return err
			}
		}
		there, err := s.killAmong(ctx, before+bulk/10)
		if err != nil {
			return err
		}
		s.tell.say("killed when %d of %d objects were there, by the API server's count", there, all)
		back := time.Now()
		if err := s.rig.Start("applier"); err != nil {
			return err
		}
		if there > before && there < all {
			return s.recovers(ctx, commit, all, back)
		}
		s.tell.say("that is not in mid-apply")
	}
	return fmt.Errorf("%d times the applier was not killed in mid-apply", tries)
}

// recovers waits until the applier that is back has converged the stock to a
// commit, with all of its objects.
func (s *story) recovers(ctx context.Context, commit string, all int, back time.Time) error {
	completed, err := s.waitFor(ctx, "convergence.completed of "+stock, func(e rig.Seen) bool {
		return e.Application == stock && converged(commit)(e)
	})
	if err != nil {
		return err
	}
	names, err := s.rig.Kube.Names(ctx, rig.ConfigMaps, "stock", stock)
	if err != nil {
		return err
	}
	if len(names) != all {
		return fmt.Errorf("%d objects declared, %d are there", all, len(names))
	}
	c := completed.Data.(*events.ConvergenceCompleted).Counts
	s.tell.say("the new applier created %d; of those that were there it left %d alone and applied %d again", c.Created, c.Unchanged, c.Configured+c.Adopted)
	s.tell.proved(completed.At.Sub(back), "restart → converged, %d of %d, nothing lost", len(names), all)
	return nil
}

// killAmong kills the applier as soon as so many objects are there and returns how
// many there are then.
func (s *story) killAmong(ctx context.Context, least int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	count := func(ctx context.Context) (int, error) {
		names, err := s.rig.Kube.Names(ctx, rig.ConfigMaps, "stock", stock)
		return len(names), err
	}
	err := rig.Until(ctx, func(ctx context.Context) (bool, error) {
		n, err := count(ctx)
		return n >= least, err
	})
	if err != nil {
		return 0, fmt.Errorf("the applier never began with %s; the bus saw %s: %w", stock, s.heard(), err)
	}
	if err := s.rig.Kill("applier"); err != nil {
		return 0, err
	}
	return count(ctx)
}
