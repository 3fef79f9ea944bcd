// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// on is the same cluster, told of by another bus.
func (r *rig) on(t testing.TB, s *bustest.Server) *rig {
	t.Helper()
	other := *r
	other.bus, other.fleet, other.fleets = s, nil, &atomic.Int64{}
	other.watcher, other.renderer = s.Connect(t, "watcher"), s.Connect(t, "renderer")
	other.applier, other.reader = s.Connect(t, "applier-local"), s.Connect(t, "reader")
	return &other
}

// TestRedelivered has every event that the auditor consumes worked on twice,
// in any order, and by an auditor that crashed between publishing and
// acknowledging: each divergence is told as often as if each had come once.
func TestRedelivered(t *testing.T) {
	r := newRig(t)
	documents := []string{configMap("changed", "k", "v"), configMap("deleted", "k", "v"), configMap("same", "k", "v")}
	a := r.app("shop")
	a.commit()
	a.render(documents...)
	list := a.writeAll()
	r.patch(configMaps, "changed", `[{"op":"replace","path":"/data/k","value":"x"}]`)
	a.delete("deleted")

	bustest.Redeliver(t, bustest.Redelivery{
		User: "auditor-local",
		Inputs: func(tb testing.TB, s *bustest.Server) []bustest.Input {
			tb.Helper()
			b := r.on(tb, s)
			shop := b.app("shop")
			shop.commit()
			shop.render(documents...)
			shop.applied(list...)
			shop.next(&events.ConvergenceCompleted{Converging: shop.converging()}, b.applier)
			shop.openDivergence("same")

			stalled := b.app("stalled", func(d *events.Declaration) { d.Converge.Timeout = events.Duration(time.Nanosecond) })
			stalled.commit()

			leaving := b.app("leaving")
			leaving.commit()
			leaving.openDivergence("left")
			leaving.next(&events.ApplicationWithdrawn{Outcome: events.ActionPruned}, b.applier)
			b.fleet = []string{"shop", "stalled"}
			b.publishFleet()
			return nil
		},
		Handler: func(tb testing.TB, c *bus.Conn) bus.Handler {
			tb.Helper()
			auditor := r.idleOn(c)
			tb.Cleanup(auditor.stop)
			if err := auditor.fleet.load(tb.Context(), c); err != nil {
				tb.Fatal(err)
			}
			return auditor.handle
		},
	})
}

// openDivergence plays an auditor that has told of a divergence.
func (a *app) openDivergence(name string) {
	a.t.Helper()
	o := events.Object{Version: "v1", Kind: "ConfigMap", Namespace: a.namespace, Name: name}
	at := a.at()
	at.Key = Key("local", a.declaration.Application, o.Key())
	a.publish(a.bus.Connect(a.t, "auditor-local"), events.Cause{ID: "divergence-" + name}, at, &events.DivergenceDetected{
		Divergence: events.Divergence{Key: at.Key, Kind: events.DivergenceChanged, Object: &o, Since: time.Now()},
	})
}
