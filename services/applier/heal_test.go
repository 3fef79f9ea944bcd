// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"testing"
	"time"
)

// A divergence that couldn't be healed and is told of once more is no second
// fight; the fourth one in a while is.
func TestOneDivergenceIsOneFight(t *testing.T) {
	now := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	var f fight
	for n := range 4 {
		since := now
		for range 3 { // detected, delivered again, persisted
			f.heal(now, since)
			now = now.Add(3 * time.Second)
		}
		if waits := f.until.After(since); waits != (n == 3) {
			t.Errorf("divergence %d: healing waits: %t", n+1, waits)
		}
	}
	if got := f.until.Sub(f.of); got != fightFirst {
		t.Errorf("it waits for %s, want %s", got, fightFirst)
	}
}
