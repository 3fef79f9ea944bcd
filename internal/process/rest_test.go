// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"runtime/debug"
	"testing"
)

func TestGarbageIsCollectedLessOftenUnlessToldHowOften(t *testing.T) {
	for told, want := range map[string]int{"": workPercent, "50": 50, "off": 50} {
		t.Setenv("GOGC", told)
		before := debug.SetGCPercent(50) // what the runtime has made of told
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		Rest(ended)
		if got := debug.SetGCPercent(before); got != want {
			t.Errorf("GOGC=%s: %d, want %d", told, got, want)
		}
	}
}

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
