// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// A service that is killed at a boundary of the pipeline, whichever service
// and whichever boundary, loses nothing: the commit converges once it is
// back.
func TestKillAtEachBoundary(t *testing.T) {
	s := play(t, "boundary", one("0"))
	s.eventually("cm", "0")
	n := 0
	for _, boundary := range []string{"commit.observed", "manifests.rendered", "convergence.applied"} {
		for _, service := range rig.Services {
			n++
			value := fmt.Sprint(n)
			mark := s.Bus.Mark()
			commit := s.commit(one(value))
			s.await(mark, boundary, rig.Of(boundary, s.app))
			if err := s.Kill(service); err != nil {
				t.Fatal(err)
			}
			if err := s.Start(service); err != nil {
				t.Fatal(err)
			}
			s.converged(mark, commit)
			if got := s.value("cm"); got != value {
				t.Errorf("%s killed at %s: the cluster has %q, Git has %q", service, boundary, got, value)
			}
		}
	}
}

// The boundary of a divergence: whoever is killed as it is told, it is put
// right, and told to be over once.
func TestKillWhileADivergenceIsHealed(t *testing.T) {
	s := play(t, "healing", one("0"))
	for _, service := range rig.Services {
		s.begun()
		mark := s.Bus.Mark()
		if err := s.Kube.Edit(s.ctx(), rig.ConfigMaps, s.namespace, "cm", `{"data":{"v":"hand"}}`, "kubectl-edit"); err != nil {
			t.Fatal(err)
		}
		s.await(mark, "divergence.detected", rig.Of("divergence.detected", s.app))
		if err := s.Kill(service); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(service); err != nil {
			t.Fatal(err)
		}
		s.await(mark, "divergence.resolved", rig.Of("divergence.resolved", s.app))
		if got := s.value("cm"); got != "0" {
			t.Errorf("%s killed while a divergence was healed: the cluster has %q", service, got)
		}
		for _, name := range []string{"divergence.detected", "divergence.resolved"} {
			n := 0
			for _, e := range s.Bus.Since(mark) {
				if e.Type.Name() == name {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s killed: %d %s, want 1", service, n, name)
			}
		}
	}
}

// A service that was down while commits came in takes up the newest. Each is
// started when what it works from is there already, and nothing else tells it.
func TestCommitsWhileDown(t *testing.T) {
	s := play(t, "down", one("0"))
	s.eventually("cm", "0")
	for i, service := range rig.Services {
		if err := s.Stop(service); err != nil {
			t.Fatal(err)
		}
		mark := s.Bus.Mark()
		s.commit(one(fmt.Sprintf("%d-first", i)))
		value := fmt.Sprintf("%d-last", i)
		commit := s.commit(one(value))
		switch service {
		case "renderer":
			s.await(mark, "commit.observed of "+commit, func(e rig.Seen) bool {
				c, ok := e.Data.(*events.CommitObserved)
				return ok && c.Revision.Commit == commit
			})
		case "applier":
			s.await(mark, "manifests.rendered of "+commit, func(e rig.Seen) bool {
				m, ok := e.Data.(*events.ManifestsRendered)
				return ok && m.Revision.Commit == commit
			})
		case "auditor":
			s.converged(mark, commit)
			if err := s.Kube.Edit(s.ctx(), rig.ConfigMaps, s.namespace, "cm", `{"data":{"v":"hand"}}`, "kubectl-edit"); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Start(service); err != nil {
			t.Fatal(err)
		}
		s.converged(mark, commit)
		if service == "auditor" {
			s.await(mark, "divergence.resolved", rig.Of("divergence.resolved", s.app))
		}
		if got := s.value("cm"); got != value {
			t.Errorf("%s was down: the cluster has %q, Git has %q", service, got, value)
		}
	}
}
