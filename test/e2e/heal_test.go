// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// A hand edit that was made while the auditor was down is found when it
// starts, and healed.
func TestEditWhileTheAuditorIsDown(t *testing.T) {
	s := play(t, "unseen", one("git"))
	s.begun()
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
	mark := s.Bus.Mark()
	s.commit(one("w"))
	s.await(mark, "manifests.rendered", rig.Of("manifests.rendered", s.app))
	if err := s.Drained(s.ctx()); err != nil { // the applier is through with all of it
		t.Fatal(err)
	}
	if got := s.value("cm"); got != "" {
		t.Errorf("an observed application was written: %q", got)
	}
	for _, e := range s.Bus.Since(0) {
		if e.Type.Noun == "convergence" {
			t.Errorf("an observed application has %s", e.Type.Name())
		}
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

// A withdrawn application's objects go by its deletion policy; the last
// application of a cluster only with an approval.
func TestWithdrawn(t *testing.T) {
	s := play(t, "withdrawn", one("v"))
	s.eventually("cm", "v")
	s.commit(map[string]string{"other/cm.yaml": configMap("other", "v")})
	s.fleet(map[string]string{"other.yaml": fmt.Sprintf(`apiVersion: plumbline.dev/v1alpha1
kind: Application
metadata: {name: withdrawn-too}
spec: {source: {repository: %s, path: other}, namespace: %s}
`, s.app, s.namespace)})
	s.eventually("other", "v")

	s.fleet(nil, "other.yaml")
	gone := s.await(0, "application.withdrawn", rig.Of("application.withdrawn", "withdrawn-too")).Data.(*events.ApplicationWithdrawn)
	if gone.Outcome != events.ActionPruned {
		t.Errorf("outcome %s, want %s", gone.Outcome, events.ActionPruned)
	}
	s.eventually("other", "")

	// The repository stays declared: a fleet without any file is an outage.
	s.fleet(map[string]string{s.app + ".yaml": fmt.Sprintf("apiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: %s}\nspec: {url: %q}\n", s.app, s.repo.URL)})
	held := s.await(0, "application.withdrawn", rig.Of("application.withdrawn", s.app)).Data.(*events.ApplicationWithdrawn)
	if held.Outcome != events.ActionHeld || held.Reason != events.ReasonWithdrawalGuard {
		t.Errorf("outcome %s for %s, want it held for %s", held.Outcome, held.Reason, events.ReasonWithdrawalGuard)
	}
	if s.value("cm") != "v" {
		t.Fatal("the last application went without an approval")
	}
	s.cli("approve", s.app, held.Hold)
	s.eventually("cm", "")
}

// Someone who keeps writing an object is given up on for a while, and a new
// revision of it goes through all the same, at once.
func TestACommitGoesThroughAFight(t *testing.T) {
	s := play(t, "fight", one("0"))
	s.begun()
	for range 5 {
		mark := s.Bus.Mark()
		if err := s.Kube.Edit(s.ctx(), rig.ConfigMaps, s.namespace, "cm", `{"data":{"v":"hand"}}`, "kubectl-edit"); err != nil {
			t.Fatal(err)
		}
		s.await(mark, "divergence.detected", rig.Of("divergence.detected", s.app))
		s.eventually("cm", "0")
	}
	mark := s.Bus.Mark()
	if err := s.Kube.Edit(s.ctx(), rig.ConfigMaps, s.namespace, "cm", `{"data":{"v":"hand"}}`, "kubectl-edit"); err != nil {
		t.Fatal(err)
	}
	s.await(mark, "divergence.detected", rig.Of("divergence.detected", s.app))
	from := time.Now()
	commit := s.commit(one("1"))
	s.converged(mark, commit)
	s.eventually("cm", "1")
	took := time.Since(from)
	t.Logf("a commit in the middle of a fight took %s", took)
	// By now the object is left alone for 18 s, three times as long each time.
	if took > 15*time.Second {
		t.Errorf("the commit took %s: it waited for the end of the fight", took)
	}
}
