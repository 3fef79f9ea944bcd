// SPDX-License-Identifier: Apache-2.0

package process

import "testing"

func TestMemoryIsGivenBackOnceABurstIsOver(t *testing.T) {
	var r resting
	for i, step := range []struct {
		allocated uint64 // MiB since the look before
		over      bool
	}{
		{100, false}, // the start: a burst
		{1, true},    // it is over
		{1, false},   // nothing since is worth it
		{50, false},
		{50, false},
		{0, true},
		{3, false},
		{3, false},
		{3, false},
		{3, false},
		{3, false},
		{3, true}, // little by little it adds up
		{3, false},
	} {
		if got := r.over(r.last + step.allocated<<20); got != step.over {
			t.Errorf("look %d: over is %t", i, got)
		}
	}
}
