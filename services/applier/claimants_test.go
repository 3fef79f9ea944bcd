// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbline-dev/plumbline/events"
)

// Whoever claims an object is found, whatever was claimed before, by whom, and
// who was withdrawn meanwhile: as if all applications were gone through.
func TestClaimed(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	key := func() string { return fmt.Sprint("object-", r.IntN(12)) }
	for range 200 {
		a := &applier{applications: map[string]*application{}, waiting: map[string]string{}}
		for sequence := range uint64(30) {
			name := fmt.Sprint("app-", r.IntN(5))
			if r.IntN(6) == 0 {
				if app := a.applications[name]; app != nil {
					a.leave(app)
				}
				continue
			}
			keys := map[string]bool{}
			for range r.IntN(5) {
				keys[key()] = r.IntN(4) > 0
			}
			mode := events.ModeAuto
			if r.IntN(4) == 0 {
				mode = events.ModeObserve
			}
			e := events.Event{Epoch: "e", Sequence: max(1, sequence-uint64(r.IntN(2))), Data: &events.ManifestsRendered{Manifests: events.Manifests{
				Declaration: events.Declaration{Converge: events.Convergence{Mode: mode}},
			}}}
			a.claim(a.application(name), e, keys)
		}
		if r.IntN(2) == 0 {
			a.fleet = &fleetList{entries: map[string]events.FleetEntry{"app-0": {}, "app-1": {}, "app-2": {}}}
		}
		entries := map[string]Entry{}
		for range 6 {
			entries[key()] = Entry{Offered: []string{"", "app-1", "app-3"}[r.IntN(3)]}
		}
		claimed, observers := a.claimed("app-2", entries)
		want, observing := a.claimedByAll("app-2", entries)
		if diff := cmp.Diff(want, claimed); diff != "" {
			t.Fatalf("another is found:\n%s", diff)
		}
		for _, other := range claimed {
			if observers[other] != observing[other] {
				t.Fatalf("%s observes: %t", other, observers[other])
			}
		}
	}
}

// claimedByAll goes through all applications.
func (a *applier) claimedByAll(name string, entries map[string]Entry) (claimed map[string]string, observers map[string]bool) {
	claimed, observers = map[string]string{}, map[string]bool{}
	for _, other := range slices.Sorted(maps.Keys(a.applications)) {
		if other == name || a.fleet != nil && !a.fleet.has(other) {
			continue
		}
		c := a.applications[other].claims
		observers[other] = c.observes
		for key, e := range entries {
			if c.keys[key] && (claimed[key] == "" || e.Offered == other) {
				claimed[key] = other
			}
		}
	}
	return claimed, observers
}

func BenchmarkClaimed(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := &applier{applications: map[string]*application{}, waiting: map[string]string{}}
			for i := range n {
				keys := map[string]bool{}
				for key := range someEntries(4) {
					keys[fmt.Sprint(key, i)] = true
				}
				a.claim(a.application(fmt.Sprint("app-", i)), events.Event{Epoch: "e", Sequence: 1, Data: &events.ManifestsRendered{}}, keys)
			}
			entries := someEntries(4)
			for b.Loop() {
				a.claimed("app-7", entries)
			}
		})
	}
}
