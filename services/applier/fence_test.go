// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"math/rand/v2"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

func TestFenceAdmits(t *testing.T) {
	fence := Fence{Epoch: "b", Sequence: 10, Retired: []string{"a"}}
	for name, c := range map[string]struct {
		fence   Fence
		order   events.Order
		current string
		newest  events.Order
		want    Admission
	}{
		"newer":                           {fence, events.Order{Epoch: "b", Sequence: 11}, "b", events.Order{Epoch: "b", Sequence: 11}, Admission{OK: true}},
		"the same again":                  {fence, events.Order{Epoch: "b", Sequence: 10}, "b", events.Order{Epoch: "b", Sequence: 10}, Admission{OK: true}},
		"below the fence":                 {fence, events.Order{Epoch: "b", Sequence: 9}, "b", events.Order{}, Admission{By: 10}},
		"below the newest event":          {fence, events.Order{Epoch: "b", Sequence: 11}, "b", events.Order{Epoch: "b", Sequence: 12}, Admission{By: 12}},
		"below a failed render":           {fence, events.Order{Epoch: "b", Sequence: 10}, "b", events.Order{Epoch: "b", Sequence: 13}, Admission{By: 13}},
		"a retired log":                   {fence, events.Order{Epoch: "a", Sequence: 99}, "b", events.Order{}, Admission{}},
		"a retired log is current again":  {fence, events.Order{Epoch: "a", Sequence: 99}, "a", events.Order{}, Admission{}},
		"its log is gone":                 {fence, events.Order{Epoch: "b", Sequence: 11}, "c", events.Order{Epoch: "c", Sequence: 1}, Admission{}},
		"its log is gone, no newer one":   {fence, events.Order{Epoch: "b", Sequence: 11}, "c", events.Order{}, Admission{OK: true}},
		"a new log":                       {fence, events.Order{Epoch: "c", Sequence: 1}, "c", events.Order{Epoch: "c", Sequence: 1}, Admission{OK: true, NewLog: true}},
		"what is newer is of another log": {fence, events.Order{Epoch: "c", Sequence: 1}, "c", events.Order{Epoch: "b", Sequence: 99}, Admission{OK: true, NewLog: true}},
		"an unknown log, not the bus's":   {fence, events.Order{Epoch: "x", Sequence: 1}, "c", events.Order{}, Admission{}},
		"no fence yet":                    {Fence{}, events.Order{Epoch: "b", Sequence: 1}, "b", events.Order{Epoch: "b", Sequence: 1}, Admission{OK: true}},
		"no fence yet, another log":       {Fence{}, events.Order{Epoch: "a", Sequence: 1}, "b", events.Order{}, Admission{}},
		"no fence yet, a newer one":       {Fence{}, events.Order{Epoch: "b", Sequence: 1}, "b", events.Order{Epoch: "b", Sequence: 4}, Admission{By: 4}},
	} {
		if got := c.fence.Admit(c.order, c.current, c.newest); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// Whatever revisions come, in whatever order, from whatever life of the log:
// within an epoch the fence never goes down, and it never goes back to an
// epoch that it remembers to have left.
func TestFenceNeverGoesDown(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		epochs := []string{"a", "b", "c", "d", "e"}
		bus := 0
		var fence Fence
		left := map[string]bool{}
		for range 100 {
			if r.IntN(10) == 0 && bus < len(epochs)-1 {
				bus++
			}
			order := events.Order{Epoch: epochs[r.IntN(len(epochs))], Sequence: 1 + r.Uint64N(20)}
			admission := fence.Admit(order, epochs[bus], events.Order{})
			if !admission.OK {
				continue
			}
			next := fence.Advance(order, "d", "x")
			if next.Epoch == fence.Epoch && next.Sequence < fence.Sequence {
				t.Fatalf("seed %d: the fence went down from %+v to %+v", seed, fence, next)
			}
			if left[next.Epoch] {
				t.Fatalf("seed %d: the fence went back to %s", seed, next.Epoch)
			}
			if next.Epoch != fence.Epoch {
				left[fence.Epoch] = true
				if next.Compared {
					t.Fatalf("seed %d: a new epoch begins compared", seed)
				}
			}
			fence = next
			fence.Compared = true
		}
	}
}

func TestFenceForgetsTheOldestEpochs(t *testing.T) {
	fence := Fence{}
	for _, epoch := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		fence = fence.Advance(events.Order{Epoch: epoch, Sequence: 1}, "d", "x")
	}
	if len(fence.Retired) != retiredEpochs || fence.Retired[0] != "i" || fence.Retired[7] != "b" {
		t.Errorf("got %v", fence.Retired)
	}
}

// Within one life of the log a fence keeps what it knows; the first one leaves
// no life behind.
func TestFenceKeepsWhatItKnowsWithinALifeOfTheLog(t *testing.T) {
	fence := Fence{}.Advance(events.Order{Epoch: "a", Sequence: 1}, "d", "x")
	if len(fence.Retired) > 0 || fence.Compared {
		t.Errorf("got %+v", fence)
	}
	for _, compared := range []bool{false, true} {
		fence = Fence{Epoch: "b", Sequence: 1, Retired: []string{"a"}, Compared: compared, Applied: true}
		next := fence.Advance(events.Order{Epoch: "b", Sequence: 2}, "d", "x")
		want := Fence{Epoch: "b", Sequence: 2, Digest: "d", Declaration: "x", Retired: []string{"a"}, Compared: compared}
		if !next.equal(want) {
			t.Errorf("got %+v, want %+v", next, want)
		}
	}
}
