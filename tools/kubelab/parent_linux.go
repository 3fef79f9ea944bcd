// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// waitProcessEnd returns nil when process pid has ended, killed or not, reaped
// or not, and ctx.Err() when ctx ends first.
//
// It polls a pidfd (pidfd_open(2)), which the kernel makes readable at the end
// of the process. PR_SET_PDEATHSIG is no substitute: it fires at the end of the
// parent's thread, and the Go runtime ends threads as it likes.
func waitProcessEnd(ctx context.Context, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(fd) }() // only ever polled

	const pollMillis = 500 // how late the end of ctx may be seen
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, pollMillis)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("watch process %d: %w", pid, err)
		}
		if n > 0 {
			return nil
		}
	}
	return ctx.Err()
}
