// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// A hand edit that was made while the auditor was down is found when it
// starts, and healed.
func TestEditWhileTheAuditorIsDown(t *testing.T) {
	s := play(t, "unseen", one("git"))
	s.eventually("cm", "git")
	if err := s.Kill("auditor"); err != nil {
		t.Fatal(err)
	}
	if err := s.Kube.Edit(s.ctx(), rig.ConfigMaps, s.namespace, "cm", `{"data":{"v":"hand"}}`, "kubectl-edit"); err != nil {
		t.Fatal(err)
	}
	mark := s.Bus.Mark()
	if err := s.Start("auditor"); err != nil {
		t.Fatal(err)
	}
	d := s.await(mark, "divergence.detected", rig.Of("divergence.detected", s.app)).Data.(*events.DivergenceDetected)
	if d.Writer == nil || d.Writer.Manager != "kubectl-edit" {
		t.Errorf("writer %+v, want kubectl-edit", d.Writer)
	}
	s.eventually("cm", "git")
	s.await(mark, "divergence.resolved", rig.Of("divergence.resolved", s.app))
}

// An application that only observes is rendered and audited, never written.
func TestObserveNeverWrites(t *testing.T) {
	s := play(t, "observe", one("v"), "converge: {mode: observe}")
	s.await(0, "manifests.rendered", rig.Of("manifests.rendered", s.app))
	s.await(0, "divergence.detected", rig.Of("divergence.detected", s.app))
	if got := s.value("cm"); got != "" {
		t.Errorf("an observed application was written: %q", got)
	}
}

// A divergence that stays for the interval is said once more, and its end is
// said once.
func TestAlertAfterTheInterval(t *testing.T) {
	s := play(t, "alert", one("git"), "audit: {heal: false, alertAfter: 2s}")
	s.eventually("cm", "git")
	mark := s.Bus.Mark()
	if err := s.Kube.Edit(s.ctx(), rig.ConfigMaps, s.namespace, "cm", `{"data":{"v":"hand"}}`, "kubectl-edit"); err != nil {
		t.Fatal(err)
	}
	s.await(mark, "divergence.persisted", rig.Of("divergence.persisted", s.app))
	if err := s.Kube.Edit(s.ctx(), rig.ConfigMaps, s.namespace, "cm", `{"data":{"v":"git"}}`, "kubectl-edit"); err != nil {
		t.Fatal(err)
	}
	resolved := s.await(mark, "divergence.resolved", rig.Of("divergence.resolved", s.app)).Data.(*events.DivergenceResolved)
	if !resolved.Persisted {
		t.Error("the resolved divergence was alerted, and doesn't say so")
	}
	counts := map[string]int{}
	for _, e := range s.Bus.Since(mark) {
		counts[e.Type.Name()]++
	}
	for _, name := range []string{"divergence.detected", "divergence.persisted", "divergence.resolved"} {
		if counts[name] != 1 {
			t.Errorf("%d %s, want 1", counts[name], name)
		}
	}
}

// A withdrawn application's objects go by its deletion policy.
func TestWithdrawn(t *testing.T) {
	s := play(t, "withdrawn", one("v"))
	s.eventually("cm", "v")
	s.fleet(nil, s.app+".yaml")
	s.await(0, "application.withdrawn", rig.Of("application.withdrawn", s.app))
	s.eventually("cm", "")
}
