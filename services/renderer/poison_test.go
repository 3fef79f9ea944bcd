// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// An input whose render ends with the death of its process, each time that it
// is tried, is set aside after the third time, with an event. A newer revision
// lifts it.
func TestAdvisoryC18AnInputThatKillsItsChildrenIsQuarantined(t *testing.T) {
	server := bustest.Start(t)
	server.Backoff(t, "renderer", 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond)
	l := labOn(t, server)
	r := l.make(testLimits)
	var deadly atomic.Bool
	var deaths atomic.Int64
	deadly.Store(true)
	r.pool.launch = func() (*worker, error) {
		w, err := start()
		if err == nil && deadly.Load() {
			deaths.Add(1)
			err = w.cmd.Process.Kill()
		}
		return w, err
	}
	// Without the look at the level at the start: one that finds the poison is a
	// second input, which has tries of its own.
	bustest.Run(t, r.consumer)
	poison := l.push(l.app("poison", "app"), good)
	failed := as[*events.RenderFailed](t, l.outcome(poison))
	if failed.Reason != events.ReasonQuarantined || deaths.Load() != 6 {
		t.Errorf("%s after %d deaths; want it quarantined after three tries of two", failed.Reason, deaths.Load())
	}
	deadly.Store(false)
	as[*events.ManifestsRendered](t, l.outcome(l.push(l.app("poison", "app"), with(good, map[string]string{"app/more.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n"}))))
}
