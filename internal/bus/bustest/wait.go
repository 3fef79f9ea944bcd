// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"context"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/internal/bus"
)

// Timeout is how long tests wait for what is to come.
const Timeout = 30 * time.Second

// Eventually waits until ok says true.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.NewTimer(Timeout)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			tb.Fatalf("not within %s: %s", Timeout, what)
		case <-tick.C:
		}
	}
}

// Run runs a consumer until the test ends or stop is called, which returns
// when it has stopped.
func Run(tb testing.TB, c *bus.Consumer) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("consumer: %v", err)
		}
	}
	tb.Cleanup(stop)
	return stop
}
