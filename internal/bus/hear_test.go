// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// What is stored is heard, once and in order, by whom it was asked for, also
// after the connection was lost; what is published again, and is there, is not.
func TestHear(t *testing.T) {
	s := bustest.Start(t)
	renderer, watcher := s.Connect(t, "renderer"), s.Connect(t, "watcher")
	var mu sync.Mutex
	var heard []string
	stop, err := watcher.Hear(func(e events.Event) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, fmt.Sprint(e.Type.Name(), " ", e.Application, " ", e.Stored))
	}, events.TypeNamed("render.failed").Filter("*"))
	if err != nil {
		t.Fatal(err)
	}
	want := func(all ...string) {
		t.Helper()
		bustest.Eventually(t, fmt.Sprint(all), func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Equal(heard, all)
		})
	}
	publish(t, s.Connect(t, "watcher"), commit("shop", "a"))
	publish(t, renderer, failed("shop"), failed("web"), failed("shop"))
	want("render.failed shop 2", "render.failed web 3")
	s.Down(t)
	s.Up(t)
	bustest.Eventually(t, "it hears again", func() bool {
		publish(t, renderer, failed(fmt.Sprint("app-", len(s.Events(t, "plumbline.v1.>")))))
		mu.Lock()
		defer mu.Unlock()
		return len(heard) > 2
	})
	stop()
}
