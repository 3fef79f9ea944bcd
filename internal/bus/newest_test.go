// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// Newest tells a later revision from what lies there of the same or an earlier
// one, or of another life of the log.
func TestNewest(t *testing.T) {
	s := bustest.Start(t)
	watcher, renderer := s.Connect(t, "watcher"), s.Connect(t, "renderer")
	in := publish(t, watcher, commit("shop", "a"), commit("shop", "b"), commit("shop", "c"))
	fail := func(of events.Event) events.Event {
		t.Helper()
		es, err := renderer.Publish(t.Context(), events.CauseOf(of), failed("shop"))
		if err != nil {
			t.Fatal(err)
		}
		return es[0]
	}
	subject := "plumbline.v1.render.failed.local.shop"
	later := fail(in[1])
	for name, c := range map[string]struct {
		of   events.Event
		want uint64
	}{
		"nothing":         {events.Event{}, in[1].Sequence},
		"itself":          {later, 0},
		"before it":       {in[0], in[1].Sequence},
		"after it":        {in[2], 0},
		"of another life": {events.Event{Epoch: "gone", Sequence: 1 << 40, Stored: later.Stored}, in[1].Sequence},
	} {
		got, err := renderer.Newest(t.Context(), c.of, subject, "plumbline.v1.render.failed.local.none")
		if err != nil || got.Sequence != c.want || (got == events.Order{}) != (c.want == 0) {
			t.Errorf("above %s: %+v, %v, want %d", name, got, err, c.want)
		}
	}
	// What is stored later may be of an earlier revision.
	fail(in[0])
	if got, err := renderer.Newest(t.Context(), later, subject); err != nil || got != (events.Order{}) {
		t.Errorf("above the second revision is %+v, %v", got, err)
	}
}
