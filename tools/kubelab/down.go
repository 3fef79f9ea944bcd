// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// downTimeout bounds an orderly end; past it the process is killed. It is
// longer than the process's own bound, stopTimeout.
const downTimeout = 20 * time.Second

// down stops the process that runs dir's cluster and returns once it has
// ended. It is no error when there is none.
func down(ctx context.Context, dir layout) error {
	if _, err := os.Stat(string(dir)); err != nil {
		return fmt.Errorf("no cluster: %w", err)
	}
	pid, err := dir.holder()
	if err != nil || pid == 0 {
		return err
	}
	if err := send(pid, syscall.SIGTERM); err != nil {
		return err
	}
	orderly, cancel := context.WithTimeout(ctx, downTimeout)
	defer cancel()
	err = dir.waitReleased(orderly)
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return err
	}
	if err := send(pid, syscall.SIGKILL); err != nil {
		return err
	}
	return dir.waitReleased(ctx)
}

// waitReleased returns nil once no process holds the directory.
func (l layout) waitReleased(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		pid, err := l.holder()
		if err != nil || pid == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of process %d: %w", pid, ctx.Err())
		case <-tick.C:
		}
	}
}

func send(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	return nil
}
