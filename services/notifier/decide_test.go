// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/incident"
)

var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestDecideStateSpace walks through every state that an incident and what
// people know of it can be in, and follows what decide says until nothing is
// due.
func TestDecideStateSpace(t *testing.T) {
	yes := []bool{false, true}
	places := []uint64{0, 1, 2, 3, 4}
	says := []events.Reason{events.ReasonSyntax, events.ReasonKustomize}
	var states int
	for _, exists := range yes {
		for _, closed := range yes {
			for _, old := range yes {
				for _, reason := range says {
					for _, known := range yes {
						for _, resolved := range yes {
							for _, place := range places {
								s := stateOf(exists, closed, old, reason)
								if known {
									s.told = &events.AlertDelivered{Resolved: resolved, Place: place, Says: "render.failed syntax"}
								} else if resolved || place > 0 {
									continue
								}
								states++
								checkStep(t, s)
								if closed {
									s.Closed = &incident.Closing{Event: "list", Stored: s.Event.Stored, Time: s.Closed.Time}
									states++
									checkStep(t, s)
								}
							}
						}
					}
				}
			}
		}
	}
	if states < 150 {
		t.Errorf("%d states: not all", states)
	}
}

func stateOf(exists, closed, old bool, reason events.Reason) state {
	e := events.Event{Type: events.TypeNamed("render.failed"), Stored: 2, Time: testTime}
	s := state{exists: exists, Incident: incident.Incident{Event: e, Reason: string(reason), Since: testTime}}
	if closed {
		s.Closed = &incident.Closing{Stored: 3, Time: testTime}
		if old {
			s.Closed.Time = testTime.Add(-news - time.Second)
		}
	}
	return s
}

func checkStep(t *testing.T, s state) {
	t.Helper()
	do := decide(s, testTime)
	running := s.told != nil && !s.told.Resolved
	if want := due(s); do != want {
		t.Errorf("%+v, told %+v: %q is due, want %q", s, s.told, do, want)
	}
	switch {
	case !s.exists && do != nothing:
		t.Errorf("%+v: %s, and there is no incident", s, do)
	case s.exists && s.Open() && s.told == nil && do != begin:
		t.Errorf("%+v: %q, and nobody knows", s, do)
	case s.exists && !s.Open() && running && do != resolve:
		t.Errorf("%+v: %q, and it is over", s, do)
	case running && (do == begin || do == brief):
		t.Errorf("%+v: %s, and it has a thread", s, do)
	case !running && (do == update || do == resolve):
		t.Errorf("%+v: %s, and it has no thread", s, do)
	case do == brief && s.Late():
		t.Errorf("%+v: %s, and it was over before it was said", s, do)
	case do == brief && testTime.Sub(s.Closed.Time) > news:
		t.Errorf("%+v: %s, and it is history", s, do)
	}
	if do == nothing {
		return
	}
	s.told = &events.AlertDelivered{Resolved: !s.Open(), Place: s.Place(), Says: s.Says()}
	if again := decide(s, testTime); again != nothing {
		t.Errorf("after %s of %+v: %s is due", do, s, again)
	}
}

// due is what is to be told: what goes on once, and again where it begins again
// or changes; what is over in its thread, or in short where nobody knew, unless
// that is no news.
func due(s state) step {
	again := s.told == nil || s.Event.Stored > s.told.Place
	switch running := s.told != nil && !s.told.Resolved; {
	case !s.exists:
		return nothing
	case running && !s.Open():
		return resolve
	case running && s.told.Says != s.Says():
		return update
	case running || !again:
		return nothing
	case s.Open():
		return begin
	case s.Late() || testTime.Sub(s.Closed.Time) > news:
		return nothing
	}
	return brief
}

// What ended a day ago is news to the last moment of it.
func TestNewsIsOfOneDay(t *testing.T) {
	s := stateOf(true, true, false, events.ReasonSyntax)
	for past, want := range map[time.Duration]step{news: brief, news + 1: nothing} {
		s.Closed.Time = testTime.Add(-past)
		if do := decide(s, testTime); do != want {
			t.Errorf("%s ago: %q, want %q", past, do, want)
		}
	}
}

func TestFewAreToldAlone(t *testing.T) {
	now := testTime
	recent := []time.Time{now.Add(-2 * time.Minute), now.Add(-time.Minute), now.Add(-50 * time.Second), now.Add(-time.Second)}
	recent = within(recent, now, time.Minute)
	if len(recent) != 2 {
		t.Fatalf("%v are within a minute", recent)
	}
	if !alone(0, recent, 3) || alone(1, recent, 3) || alone(0, append(recent, now), 3) {
		t.Error("more than three within a minute make a digest, and so does one that waits")
	}
}
