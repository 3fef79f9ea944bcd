// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// The whole JetStream directory is lost while the server is stopped. The log
// begins a new life, and the cluster stays as Git has it: nothing pruned,
// nothing written that was right, and commits go on.
func TestStoreLostWhileStopped(t *testing.T) {
	s := play(t, "storestopped", configMaps(6, "before"))
	s.settled()
	epoch := s.epoch()
	before := s.versions()

	if err := s.Process("nats").Stop(); err != nil {
		t.Fatal(err)
	}
	s.loseStore()
	if err := s.StartNATS(s.ctx()); err != nil {
		t.Fatal(err)
	}
	s.afterLoss(epoch, before)
}

// The same, underneath a running server, which goes on to acknowledge for a
// while and says that it is well: whoever runs it must notice.
func TestStoreLostUnderneath(t *testing.T) {
	s := play(t, "storeunder", configMaps(6, "before"))
	s.settled()
	epoch := s.epoch()
	before := s.versions()

	s.loseStore()
	s.afterLoss(epoch, before)
}

func (s *scene) loseStore() {
	s.t.Helper()
	if err := s.LoseStore(); err != nil {
		s.t.Fatal(err)
	}
}

// epoch is the life of the log that the application's last revision is of.
func (s *scene) epoch() string {
	s.t.Helper()
	e := s.await(0, "manifests.rendered", func(e seen) bool { return e.Type.Name() == "manifests.rendered" && e.Application == s.app })
	return e.Epoch
}

func (s *scene) afterLoss(epoch, before string) {
	s.t.Helper()
	s.await(0, "manifests.rendered in a new log", func(e seen) bool {
		return e.Type.Name() == "manifests.rendered" && e.Application == s.app && e.Epoch != epoch
	})
	mark := s.Bus.Mark()
	files := configMaps(1, "after")
	commit := s.commit(files)
	s.converged(mark, commit)
	if got := s.value("item-0"); got != "after" {
		s.t.Errorf("after the loss the cluster has %q, Git has %q", got, "after")
	}
	for _, e := range s.Bus.Since(0) {
		if c, ok := e.Data.(*events.ConvergenceApplied); ok && c.Counts.Pruned > 0 {
			s.t.Errorf("%d objects pruned that Git still holds", c.Counts.Pruned)
		}
	}
	after := s.versions()
	if a, b := withoutItem0(before), withoutItem0(after); a != b {
		s.t.Errorf("objects were written that were right already: %s became %s", a, b)
	}
}

// The whole store is lost while an application's newest commit can't be rendered,
// and who remembers anything of it but the watcher ends: what is edited by hand
// while no auditor runs is found, and put back, while that commit is still broken
// and still the newest.
func TestStoreLostWhileTheNewestCommitIsBroken(t *testing.T) {
	s := play(t, "storebroken", one("good"))
	s.settled()
	epoch := s.epoch()
	mark := s.Bus.Mark()
	broken := s.commit(map[string]string{"deploy/cm.yaml": "apiVersion: v1\nkind: [\n"})
	s.await(mark, "render.failed", rig.Of("render.failed", s.app))

	if err := s.Process("nats").Stop(); err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"watcher", "renderer", "applier", "auditor"} {
		if err := s.Kill(service); err != nil {
			t.Fatal(err)
		}
	}
	s.loseStore()
	if err := s.Kube.Edit(s.ctx(), rig.ConfigMaps, s.namespace, "cm", `{"data":{"v":"hand"}}`, "kubectl-edit"); err != nil {
		t.Fatal(err)
	}
	mark = s.Bus.Mark()
	if err := s.StartNATS(s.ctx()); err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"watcher", "renderer", "applier", "auditor"} {
		if err := s.Start(service); err != nil {
			t.Fatal(err)
		}
	}
	s.eventually("cm", "good")

	// And what is edited from then on.
	s.await(mark, "the newest commit once more", func(e seen) bool {
		c, ok := e.Data.(*events.RenderFailed)
		return ok && e.Epoch != epoch && c.Revision.Commit == broken && c.Revision.Previous != "" && c.Revision.Previous != broken
	})
	s.healed("cm", "good")

	out := s.cli("status", "--output", "json", s.app)
	if !strings.Contains(out, broken) || !strings.Contains(out, "failed") {
		t.Errorf("status doesn't show the broken commit %s as the newest:\n%s", broken, out)
	}
	for _, e := range s.Bus.Since(0) {
		if c, ok := e.Data.(*events.ConvergenceApplied); ok && c.Counts.Pruned > 0 {
			t.Errorf("%d objects pruned", c.Counts.Pruned)
		}
	}
}

// healed edits a ConfigMap by hand: it is put back, and that is told of as a
// divergence. Of an edit in the midst of what the applier does of itself, as of the
// divergence before it, nothing may be told: it is put back before anybody has seen
// it. Then the next one is.
func (s *scene) healed(name, value string) {
	s.t.Helper()
	for range 4 {
		mark := s.Bus.Mark()
		if err := s.Kube.Edit(s.ctx(), rig.ConfigMaps, s.namespace, name, `{"data":{"v":"hand"}}`, "kubectl-edit"); err != nil {
			s.t.Fatal(err)
		}
		s.eventually(name, value)
		told, cancel := context.WithTimeout(s.ctx(), patience/4)
		_, err := s.Bus.Wait(told, mark, rig.Of("divergence.resolved", s.app))
		cancel()
		if err == nil {
			s.eventually(name, value)
			return
		}
	}
	s.t.Fatalf("ConfigMap %s was edited four times, and no divergence.resolved was told", name)
}
