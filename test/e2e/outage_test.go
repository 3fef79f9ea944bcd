// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// The API server is gone for 20 s while commits come in. Nothing is counted
// against them, and the newest converges when it is back.
func TestAPIServerStopped(t *testing.T) {
	s := play(t, "apidown", one("0"))
	s.eventually("cm", "0")
	if err := s.Cluster.Stop(); err != nil {
		t.Fatal(err)
	}
	back := time.After(20 * time.Second)
	mark := s.Bus.Mark()
	s.commit(one("1"))
	commit := s.commit(one("2"))
	<-back
	if err := s.Cluster.Restart(s.ctx()); err != nil {
		t.Fatal(err)
	}
	s.converged(mark, commit)
	s.eventually("cm", "2")
	for _, e := range s.Bus.Since(mark) {
		switch d := e.Data.(type) {
		case *events.MessageRejected:
			t.Errorf("an input was rejected for the outage: %+v", d)
		case *events.ConvergenceFailed:
			t.Errorf("the outage was held against a revision: %+v", d)
		case *events.DivergenceDetected:
			t.Errorf("a divergence was seen that is none: %+v", d)
		}
	}
}

// What is no event, and an event that no service can take, end as rejected
// messages, and the applications beside them don't notice.
func TestPoisonBesideHealthy(t *testing.T) {
	s := play(t, "healthy", one("0"))
	s.eventually("cm", "0")
	mark := s.Bus.Mark()
	commitObserved := events.TypeNamed("commit.observed")
	manifests := events.TypeNamed("manifests.rendered")
	poison := map[string]string{
		"watcher":  commitObserved.Subject(events.Address{Cluster: "local", Application: "poison"}),
		"renderer": manifests.Subject(events.Address{Cluster: "local", Application: "poison"}),
	}
	for user, subject := range poison {
		if err := s.PublishAs(s.ctx(), user, subject, []byte("\x00 no event")); err != nil {
			t.Fatal(err)
		}
	}
	commit := s.commit(one("1"))
	s.converged(mark, commit)
	for _, service := range []string{"renderer", "applier"} {
		s.await(mark, "message.rejected of the "+service, func(e rig.Seen) bool {
			m, ok := e.Data.(*events.MessageRejected)
			return ok && m.Service == service && m.Reason == events.ReasonBadEvent && m.Original != nil
		})
	}
	if got := s.value("cm"); got != "1" {
		t.Errorf("the healthy application is at %q, Git at %q", got, "1")
	}
}
