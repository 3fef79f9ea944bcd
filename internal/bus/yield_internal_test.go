// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"slices"
	"testing"
	"time"
)

// Where no other has yielded, who does goes on at once; in a burst all but the
// first wait until there has been none for a while, and none for too long.
func TestWhatYieldsGoesOnAfterTheBurst(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for name, c := range map[string]struct {
		yields []int // when, in milliseconds
		goOn   []int // when each does, in turn
	}{
		"one":                           {[]int{0}, []int{0}},
		"one, and another one later":    {[]int{0, 50}, []int{0, 50}},
		"two":                           {[]int{0, 49}, []int{0, 99}},
		"each within a while of others": {[]int{0, 10, 50, 99}, []int{0, 149, 149, 149}},
		"a burst, a pause, and one":     {[]int{0, 10, 60, 200}, []int{0, 110, 110, 200}},
		"without an end": {
			[]int{0, 40, 80, 120, 160, 200, 240, 280, 320, 360, 400, 440, 480, 520, 560},
			[]int{0, 540, 580, 610, 610, 610, 610, 610, 610, 610, 610, 610, 610, 610, 610},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &schedule{Consumer: &Consumer{options: Options{Concurrency: 4}}, queues: newQueues()}
			begun := time.Now()
			var goOn []int
			for at, yields := 0, c.yields; at < 1200; at++ {
				now := begun.Add(ms(at))
				if len(yields) > 0 && yields[0] == at {
					s.working++
					s.giveWay(&yielding{resume: make(chan struct{})}, now)
					yields = yields[1:]
				}
				due := len(s.yielded) > 0 && !now.Before(s.nextToGoOn())
				for s.resume(now) {
					if !due {
						t.Errorf("at %d ms one goes on before its time", at)
					}
					goOn = append(goOn, at)
					s.working-- // it ends
				}
				if len(s.yielded) > 0 && !s.nextToGoOn().After(now) {
					t.Fatalf("at %d ms one is to go on and doesn't", at)
				}
			}
			if !slices.Equal(goOn, c.goOn) {
				t.Errorf("they go on at %d ms, want %d", goOn, c.goOn)
			}
		})
	}
}

// Where nobody may begin, what has yielded goes on when it is overdue, and is not
// asked for before: the consumer would do nothing else.
func TestWhatYieldsWaitsForAPlace(t *testing.T) {
	for name, s := range map[string]*schedule{
		"others at work": {working: 2},
		"an outage":      {outage: &outage{}},
	} {
		t.Run(name, func(t *testing.T) {
			s.Consumer = &Consumer{options: Options{Concurrency: 1}}
			now := time.Now()
			s.giveWay(&yielding{resume: make(chan struct{})}, now)
			if got := s.nextToGoOn().Sub(now); got != yieldMost {
				t.Errorf("asked for after %v, want %v", got, yieldMost)
			}
			if s.resumeOverdue(now.Add(yieldMost - 1)); len(s.yielded) != 1 {
				t.Error("it goes on before it is overdue")
			}
			if s.resumeOverdue(now.Add(yieldMost)); len(s.yielded) != 0 {
				t.Error("it doesn't go on when it is overdue")
			}
		})
	}
}

// With full hands what has yielded goes on at once: nothing more begins before one
// of them has ended.
func TestWhatYieldsGoesOnWithFullHands(t *testing.T) {
	for held, want := range map[int]time.Duration{maxCounted - 1: lull, maxCounted: 0} {
		s := &schedule{Consumer: &Consumer{options: Options{Concurrency: 4}}, queues: newQueues(), working: 2}
		s.queues.counted = held
		now := time.Now()
		s.giveWay(&yielding{resume: make(chan struct{})}, now)
		s.giveWay(&yielding{resume: make(chan struct{})}, now)
		if !s.resume(now) {
			t.Errorf("with %d in hand the first doesn't go on", held)
		}
		if got := s.nextToGoOn().Sub(now); got != want {
			t.Errorf("with %d in hand the second goes on after %s, want %s", held, got, want)
		}
	}
}
