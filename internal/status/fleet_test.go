// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/status"
)

func entry(application string, held bool) events.FleetEntry {
	return events.FleetEntry{Application: application, Held: held}
}

func TestWhatTheFleetListSays(t *testing.T) {
	good := func() *history { return log().observed(a).rendered(x).completed(x) }
	for name, c := range map[string]struct {
		h     *history
		state status.State
	}{
		"held":                              {good().invalid("f2", "web").listed("f2", entry("web", true)), status.Held},
		"refused again, and not yet listed": {good().listed("f1", entry("web", false)).invalid("f2", "web"), status.Held},
		"mended, while another is held":     {good().invalid("f2", "web").listed("f2", entry("web", true)).listed("f3", entry("web", false), entry("shop", true)), status.Converged},
		"no longer declared, never applied": {log().observed(a).renderFailed().listed("f1", entry("shop", false)), status.Withdrawn},
		"no longer declared, not yet gone":  {good().listed("f1"), status.Converging},
		"no longer declared, and gone":      {good().listed("f1").withdrawn(events.ActionPruned, ""), status.Withdrawn},
		"gone, and held":                    {good().listed("f1").withdrawn(events.ActionHeld, hold), status.Held},
		"declared again, not yet listed":    {log().observed(a).renderFailed().listed("f1").observed(b), status.Converging},
		"declared again":                    {good().listed("f1").withdrawn(events.ActionPruned, "").observed(b).listed("f2", entry("web", false)).rendered(x).completed(x), status.Converged},
	} {
		t.Run(name, func(t *testing.T) {
			if got := web(t, c.h.view()); got.State != c.state {
				t.Errorf("it is %s (%s), want %s", got.State, got.Message, c.state)
			}
		})
	}
}

// What holds an application that was never observed may hold it no more.
func TestNeverObservedAndNoLongerHeld(t *testing.T) {
	h := log().invalid("f1", "shop").listed("f1", entry("shop", true))
	if all := h.view().All(); len(all) != 1 || all[0].State != status.Held {
		t.Errorf("All = %+v, want the one that is held", all)
	}
	h = h.listed("f2", entry("other", true))
	if all := h.view().All(); len(all) != 0 {
		t.Errorf("All = %+v, want none", all)
	}
}

func TestUnauditedObjects(t *testing.T) {
	limited := &events.AuditLimited{Count: 2, Objects: []events.LimitedObject{{Message: "it may not be read"}}}
	h := log().observed(a).rendered(x).completed(x).web(limited)
	if got := web(t, h.view()); got.State != status.Converged || got.Unaudited != 2 || got.WhyUnaudited() != "it may not be read" {
		t.Errorf("it is %s, %d unaudited (%s)", got.State, got.Unaudited, got.WhyUnaudited())
	}
	if got := web(t, h.web(&events.AuditLimited{}).view()); got.Unaudited != 0 {
		t.Errorf("%d unaudited, want none", got.Unaudited)
	}
}

// junk refuses a file that holds no application.
func (h *history) junk(key, file string) *history {
	return h.add(events.Address{Key: key}, events.Event{}, &events.FleetRejected{File: file, Problems: []events.Problem{{Line: 2, Message: "no YAML"}}})
}

// refusing publishes a fleet list with which refusals hold.
func (h *history) refusing(keys ...string) *history {
	return h.add(events.Address{Cluster: "local"}, events.Event{}, &events.FleetObserved{Rejections: keys, RejectionCount: len(keys)})
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		h    *history
		want string
	}{
		"none":                      {log().refusing(), ""},
		"before the first list":     {log().junk("k1", "a.yaml"), "a.yaml:2: no YAML;"},
		"not yet listed":            {log().refusing().junk("k1", "a.yaml"), "a.yaml:2: no YAML;"},
		"listed":                    {log().junk("k1", "a.yaml").refusing("k1"), "a.yaml:2: no YAML;"},
		"mended":                    {log().junk("k1", "a.yaml").refusing("k1").refusing(), ""},
		"one of two mended":         {log().junk("k2", "b.yaml").junk("k1", "a.yaml").refusing("k1", "k2").refusing("k2"), "b.yaml:2: no YAML;"},
		"two, in order":             {log().junk("k1", "b.yaml").junk("k2", "a.yaml").refusing("k1", "k2"), "a.yaml:2: no YAML;b.yaml:2: no YAML;"},
		"what holds an application": {log().invalid("f1", "web").refusing("Application/web"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			for _, r := range c.h.view().Refusals() {
				got += r.Message + ";"
			}
			if got != c.want {
				t.Errorf("refusals %q, want %q", got, c.want)
			}
		})
	}
}
