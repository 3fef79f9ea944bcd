// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"context"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/internal/bus"
)

// Timeout is how long tests wait for what is to come: many times what it takes,
// also where the machine does ten other things.
const Timeout = 90 * time.Second

// Eventually waits until ok says true. It asks often at first, and the longer it
// has waited the more seldom: what is asked may read a whole log.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	begun := time.Now()
	tick := time.NewTimer(0)
	defer tick.Stop()
	for !ok() {
		if time.Since(begun) > Timeout {
			tb.Fatalf("not within %s: %s", Timeout, what)
		}
		tick.Reset(min(10*time.Millisecond+time.Since(begun)/16, 100*time.Millisecond))
		<-tick.C
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
