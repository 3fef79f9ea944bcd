// SPDX-License-Identifier: Apache-2.0

package notifier

import "time"

// news is how long something that began and ended untold is worth telling.
const news = 24 * time.Hour

// step is what is due about an incident.
type step string

const (
	nothing step = ""
	begin   step = "begin"   // a new thread
	update  step = "update"  // a reply, and the first message brought up to date
	resolve step = "resolve" // a reply that it is over, and the first message marked
	brief   step = "brief"   // it began and ended untold: one message, or part of a digest
)

// decide says what is due, from how an incident stands and what people know
// of it.
func decide(s state, now time.Time) step {
	told := s.told
	switch {
	case !s.exists:
		return nothing
	case s.Open() && told == nil:
		return begin
	case s.Open() && told.Resolved && s.Event.Stored > told.Place:
		return begin // it is there again
	case s.Open() && !told.Resolved && told.Says != s.Says():
		return update
	case s.Open():
		return nothing
	case told != nil && !told.Resolved:
		return resolve
	case told != nil && s.Event.Stored <= told.Place, s.Late():
		return nothing
	case now.Sub(s.Closed.Time) > news:
		return nothing
	}
	return brief
}

// alone reports whether something brief is told in a message of its own: the
// first few within a window are, unless others wait already.
func alone(waiting int, recent []time.Time, few int) bool {
	return waiting == 0 && len(recent) < few
}

// within are the times that are not older than a window.
func within(times []time.Time, now time.Time, window time.Duration) []time.Time {
	var left []time.Time
	for _, t := range times {
		if now.Sub(t) < window {
			left = append(left, t)
		}
	}
	return left
}
