// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

func TestSinceWhen(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"":                 {},
		"10m":              now.Add(-10 * time.Minute),
		"7d":               now.Add(-7 * 24 * time.Hour),
		"2026-03-01":       time.Date(2026, 3, 1, 0, 0, 0, 0, time.Local),
		"2026-03-01 08:30": time.Date(2026, 3, 1, 8, 30, 0, 0, time.Local),
	} {
		if got, err := sinceWhen(text, now); err != nil || !got.Equal(want) {
			t.Errorf("sinceWhen(%q) = %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"soon", "-1h", "0", "d", "-2d", "1000000000000d", "14.03.2026"} {
		if got, err := sinceWhen(text, now); err == nil {
			t.Errorf("sinceWhen(%q) = %s", text, got)
		}
	}
}
