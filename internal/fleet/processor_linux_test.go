// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// processor is the processor time that f takes in its own goroutine, whatever
// else the machine has to do.
func processor(t *testing.T, f func()) time.Duration {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadTime(t)
	f()
	return threadTime(t) - before
}

func threadTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
