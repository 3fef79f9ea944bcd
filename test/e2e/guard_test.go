// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// A revision without objects is a failure, never an order to delete.
func TestEmptyRenderPrunesNothing(t *testing.T) {
	s := play(t, "empty", configMaps(3, "v"))
	s.settled()
	before := s.versions()
	mark := s.Bus.Mark()
	s.commit(map[string]string{"deploy/README.md": "nothing here"}, "deploy/item-0.yaml", "deploy/item-1.yaml", "deploy/item-2.yaml")
	failed := s.await(mark, "render.failed", rig.Of("render.failed", s.app)).Data.(*events.RenderFailed)
	if failed.Reason != events.ReasonNoObjects {
		t.Errorf("reason %s, want %s", failed.Reason, events.ReasonNoObjects)
	}
	mark = s.Bus.Mark()
	s.commit(nil, "deploy")
	failed = s.await(mark, "render.failed", rig.Of("render.failed", s.app)).Data.(*events.RenderFailed)
	if failed.Reason != events.ReasonPathMissing {
		t.Errorf("reason %s, want %s", failed.Reason, events.ReasonPathMissing)
	}
	if after := s.versions(); after != before {
		t.Errorf("the cluster was touched: %s became %s", before, after)
	}
}

// More would go than the guard lets: it is held, the rest is applied, and the
// approval lets it go.
func TestPrunePastTheGuard(t *testing.T) {
	s := play(t, "guard", configMaps(6, "v"))
	s.settled()
	mark := s.Bus.Mark()
	s.commit(map[string]string{"deploy/item-0.yaml": configMap("item-0", "new")},
		"deploy/item-2.yaml", "deploy/item-3.yaml", "deploy/item-4.yaml", "deploy/item-5.yaml")
	held := s.await(mark, "convergence.held", rig.Of("convergence.held", s.app)).Data.(*events.ConvergenceHeld)
	if held.Reason != events.ReasonPruneGuard || held.Objects.Count != 4 {
		t.Errorf("held for %s with %d objects, want %s with 4", held.Reason, held.Objects.Count, events.ReasonPruneGuard)
	}
	s.eventually("item-0", "new")
	if s.value("item-5") != "v" {
		t.Fatal("item-5 went without an approval")
	}
	s.cli("approve", s.app, held.Hold)
	s.eventually("item-5", "")
	s.eventually("item-2", "")
	if s.value("item-1") != "v" {
		t.Error("item-1 is declared, and gone")
	}
}
