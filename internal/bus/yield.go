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

// lull is how long none has yielded when a burst is over: several times what lies
// between two of them.
const lull = 50 * time.Millisecond

// Yield lets the inputs that wait in other queues of ctx's consumer begin first,
// and in a burst those that will wait in a moment. It is for a handler that has
// done what others wait for, as writing to a cluster, and has left what can come
// after theirs, as saying so. It returns when none waits to begin and, but for the
// first one of a burst, none has yielded for 50 ms, or the consumer's hands are
// full; after half a second; or at the end of ctx. Meanwhile the handler counts as
// none at work; the queue of its input stays closed.
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
	at     time.Time
	first  bool // or the only one: none had yielded for a while before
	resume chan struct{}
}

func (y *yielding) overdue() time.Time { return y.at.Add(yieldMost) }

func (w *worker) yield(ctx context.Context) {
	ctx, span := telemetry.Start(ctx, "yield")
	defer span.End()
	y := &yielding{resume: make(chan struct{})}
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
func (s *schedule) giveWay(y *yielding, now time.Time) {
	s.working--
	y.at, y.first = now, now.Sub(s.yieldAt) >= lull
	s.yieldAt = now
	s.yielded = append(s.yielded, y)
}

// goesOn is when a handler that has yielded goes on where none waits to begin.
// With full hands that is at once: none comes before one of them has ended.
func (s *schedule) goesOn(y *yielding) time.Time {
	if y.first || s.room() < 1 {
		return y.at
	}
	return slices.MinFunc([]time.Time{s.yieldAt.Add(lull), y.overdue()}, time.Time.Compare)
}

// nextToGoOn is when there may be one to go on; where others hold its place, not
// before it is overdue.
func (s *schedule) nextToGoOn() time.Time {
	first := s.yielded[0]
	if s.outage == nil && s.working < s.options.Concurrency {
		return s.goesOn(first)
	}
	return first.overdue()
}

// resume has the one go on that has yielded for longest, if there is any whose
// time has come.
func (s *schedule) resume(now time.Time) bool {
	if len(s.yielded) == 0 || now.Before(s.goesOn(s.yielded[0])) {
		return false
	}
	s.resumeFirst()
	return true
}

func (s *schedule) resumeFirst() {
	close(s.yielded[0].resume)
	s.yielded = slices.Delete(s.yielded, 0, 1)
	s.working++
}

// resumeOverdue has those go on that have waited for long enough, also where more
// are at work then than there are to be: what they wait for may wait for them.
func (s *schedule) resumeOverdue(now time.Time) {
	for len(s.yielded) > 0 && !now.Before(s.yielded[0].overdue()) {
		s.resumeFirst()
	}
}
