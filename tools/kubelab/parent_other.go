// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// waitProcessEnd returns nil when process pid has ended, and ctx.Err() when ctx
// ends first. A killed parent that nobody has reaped still exists, so a parent
// counts as ended also when this process was given another one.
func waitProcessEnd(ctx context.Context, pid int) error {
	wasParent := os.Getppid() == pid
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || wasParent && os.Getppid() != pid {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
