// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// TestOutagesArePairs lets a repository fail and recover at random, restarts
// the watcher at random, and demands one pair of events per outage.
func TestOutagesArePairs(t *testing.T) {
	troubles := []*trouble{
		nil, nil,
		{reason: events.ReasonUnreachable},
		{reason: events.ReasonRefMissing, refs: []string{"refs/heads/main"}},
		{reason: events.ReasonRefMissing, refs: []string{"refs/heads/dev", "refs/heads/main"}},
	}
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 2))
		var known outage // what the bus holds
		failures, down := 0, false
		for range 40 {
			now := troubles[random.IntN(len(troubles))]
			if failures++; now == nil {
				failures = 0
			}
			if random.IntN(5) == 0 && now != nil {
				failures = 1 // a restart forgets how often it failed
			}
			switch decideOutage(known, now, failures) {
			case unreachable:
				if now == nil || failures < patience {
					t.Fatalf("seed %d: unreachable after %d failures", seed, failures)
				}
				if down && contains(known.refs, now.refs) {
					t.Fatalf("seed %d: an outage was said twice", seed)
				}
				down, known = true, outage{down: true, reason: now.reason, refs: now.refs}
			case recovered:
				if !down || now != nil {
					t.Fatalf("seed %d: recovered from nothing", seed)
				}
				down, known = false, outage{}
			case silence:
				if now == nil && down || now != nil && failures >= patience && !down {
					t.Fatalf("seed %d: silence where something is to be said", seed)
				}
			}
		}
	}
}

// TestBackoffIsBounded lets a repository be away for long: it is looked at
// within a minute, or its interval, of its return.
func TestBackoffIsBounded(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, 30 * time.Second, time.Minute, time.Hour, 24 * time.Hour} {
		most := max(interval, time.Minute)
		r := &reader{}
		r.interval.Store(int64(interval))
		before := time.Duration(0)
		for n := 1; n < 1000; n++ {
			d := backoff(interval, n)
			if d < before || d > most || before > 0 && d > 2*before {
				t.Fatalf("interval %s: %s after %d failures, and %s before", interval, d, n, before)
			}
			if wait := r.pause(&trouble{reason: events.ReasonUnreachable}, n); wait < d*9/10 || wait > d*11/10 {
				t.Fatalf("interval %s: waits %s after %d failures, want about %s", interval, wait, n, d)
			}
			before = d
		}
		if first := backoff(interval, 1); first != time.Second || before != most {
			t.Errorf("interval %s: from %s to %s", interval, first, before)
		}
	}
}
