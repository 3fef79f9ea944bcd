// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// component is a part of the control plane. Its run returns when ctx ends.
type component struct {
	name string
	run  func(ctx context.Context) error
}

// group runs components. The first one that ends by itself, with an error or
// without, calls fail.
type group struct {
	fail context.CancelCauseFunc
	wait sync.WaitGroup
}

// start runs c until ctx ends.
func (g *group) start(ctx context.Context, c component) {
	g.wait.Go(func() {
		err := c.run(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			g.fail(fmt.Errorf("%s ended: %w", c.name, err))
		default:
			g.fail(fmt.Errorf("%s ended", c.name))
		}
	})
}

// errSlowStop says that components did not end in time.
var errSlowStop = errors.New("components are still running")

// stopped waits until every component has ended, for at most the given time.
func (g *group) stopped(timeout time.Duration) error {
	done := make(chan struct{})
	go func() {
		g.wait.Wait()
		close(done)
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return errSlowStop
	}
}
