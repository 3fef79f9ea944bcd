// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"slices"
	"time"

	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// yieldMost is how long a handler that yields waits for others at most: what it
// has left is late by no more, however many come.
const yieldMost = 500 * time.Millisecond

// Yield lets the inputs that wait in other queues of ctx's consumer begin first.
// It is for a handler that has done what others wait for, as writing to a cluster,
// and has left what can come after theirs, as saying so. It returns when none
// waits to begin, after half a second, or at the end of ctx. Meanwhile the handler
// counts as none at work; the queue of its input stays closed.
//
// What was known of the log when the handler was called, as by [Latest], may be
// out of date after it.
func Yield(ctx context.Context) {
	if yield := callOf(ctx).yield; yield != nil {
		yield(ctx)
	}
}

// yielding is a handler that waits for others to begin.
type yielding struct {
	until  time.Time // it goes on then, whatever waits
	resume chan struct{}
}

func (w *worker) yield(ctx context.Context) {
	ctx, span := telemetry.Start(ctx, "yield")
	defer span.End()
	y := &yielding{until: time.Now().Add(yieldMost), resume: make(chan struct{})}
	select {
	case w.yields <- y:
	case <-ctx.Done():
		return
	}
	select {
	case <-y.resume:
	case <-ctx.Done():
	}
}

// giveWay takes note of a handler that yields.
func (s *schedule) giveWay(y *yielding) {
	s.working--
	s.yielded = append(s.yielded, y)
}

// resume has the one go on that has yielded for longest, if there is any.
func (s *schedule) resume() bool {
	if len(s.yielded) == 0 {
		return false
	}
	close(s.yielded[0].resume)
	s.yielded = slices.Delete(s.yielded, 0, 1)
	s.working++
	return true
}

// resumeOverdue has those go on that have waited for long enough, also where more
// are at work then than there are to be: what they wait for may wait for them.
func (s *schedule) resumeOverdue(now time.Time) {
	for len(s.yielded) > 0 && !now.Before(s.yielded[0].until) {
		s.resume()
	}
}
