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

func (s *story) kill(ctx context.Context) error {
	if _, err := s.push(ctx, s.shop, gitserver.Commit{Files: map[string]string{"deploy/stock/items.yaml": bulkFile()}, Message: "Take stock"}); err != nil {
		return err
	}
	declaration := gitserver.Commit{Files: map[string]string{"stock.yaml": bulkFleet}, Message: "Declare the stock"}
	if _, err := s.push(ctx, s.rig.Fleet, declaration); err != nil {
		return err
	}
	there, err := s.killAmong(ctx)
	if err != nil {
		return err
	}
	s.tell.say("killed when %d of %d objects were there, by the API server's count", there, bulk)
	if there == 0 || there >= bulk {
		return fmt.Errorf("that is not in mid-apply")
	}
	back := time.Now()
	if err := s.rig.Start("applier"); err != nil {
		return err
	}
	completed, err := s.wait(ctx, "convergence.completed", stock)
	if err != nil {
		return err
	}
	names, err := s.rig.Kube.Names(ctx, rig.ConfigMaps, "stock", stock)
	if err != nil {
		return err
	}
	if len(names) != bulk {
		return fmt.Errorf("%d objects declared, %d are there", bulk, len(names))
	}
	c := completed.Data.(*events.ConvergenceCompleted).Counts
	s.tell.say("the new applier created %d; of those that were there it left %d alone and applied %d again", c.Created, c.Unchanged, c.Configured+c.Adopted)
	s.tell.proved(completed.At.Sub(back), "restart → converged, %d of %d, nothing lost", len(names), bulk)
	return nil
}

// killAmong kills the applier as soon as a tenth of the objects are there and
// returns how many there are then.
func (s *story) killAmong(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	count := func(ctx context.Context) (int, error) {
		names, err := s.rig.Kube.Names(ctx, rig.ConfigMaps, "stock", stock)
		return len(names), err
	}
	err := rig.Until(ctx, func(ctx context.Context) (bool, error) {
		n, err := count(ctx)
		return n >= bulk/10, err
	})
	if err != nil {
		return 0, fmt.Errorf("the applier never began with %s; the bus saw %s: %w", stock, s.heard(), err)
	}
	if err := s.rig.Kill("applier"); err != nil {
		return 0, err
	}
	return count(ctx)
}
