// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
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
	if err := os.RemoveAll(s.Store()); err != nil {
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
