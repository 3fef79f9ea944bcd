// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package fleet_test

import (
	"testing"
	"time"
)

// processor is the time that f takes: this system doesn't count a thread's.
func processor(t *testing.T, f func()) time.Duration {
	t.Helper()
	start := time.Now()
	f()
	return time.Since(start)
}
