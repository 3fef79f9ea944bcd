// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"math/rand/v2"
	"testing"

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
