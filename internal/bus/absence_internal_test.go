// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// What keeps the bus away is said at once, again at growing intervals, and at
// once when it is something else.
func TestAbsenceIsSaidEverMoreRarely(t *testing.T) {
	var text bytes.Buffer
	now := time.Unix(0, 0)
	a := newAbsence(Config{}, slog.New(slog.NewTextHandler(&text, nil)))
	a.now = func() time.Time { return now }
	said := func() int { n := strings.Count(text.String(), "\n"); text.Reset(); return n }

	var at []time.Duration
	for range 3600 { // an hour of tries
		a.note(nats.ErrAuthorization)
		if said() > 0 {
			at = append(at, now.Sub(time.Unix(0, 0)))
		}
		now = now.Add(time.Second)
	}
	want := []time.Duration{0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030}
	for i := range want {
		want[i] *= time.Second
	}
	if len(at) != len(want) {
		t.Fatalf("said after %v, want %v", at, want)
	}
	for i := range want {
		if at[i] != want[i] {
			t.Fatalf("said after %v, want %v", at, want)
		}
	}
	if a.note(errors.New("connection refused")); said() != 1 || errors.Is(a.why(), ErrRefused) {
		t.Error("another cause is not said at once")
	}
	if a.note(nats.ErrAuthorization); said() != 1 {
		t.Error("nor is the first, when it is back")
	}
	if a.over(); said() != 1 || a.why() != nil {
		t.Error("nor the end")
	}
	if a.note(nats.ErrAuthorization); said() != 1 {
		t.Error("a new absence is not said at once")
	}
}
