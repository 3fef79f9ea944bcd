// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// slowCommits is a log at which the revisions of one application wait until
// they are let go.
type slowCommits struct {
	ledger
	of      string
	waiting chan struct{} // closed when the first one waits
	once    sync.Once

	mu  sync.Mutex
	let chan struct{} // nil: none waits
}

func (s *slowCommits) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.let = make(chan struct{})
}

func (s *slowCommits) gate() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.let
}

func (s *slowCommits) Publish(ctx context.Context, cause events.Cause, drafts ...events.Draft) ([]events.Event, error) {
	late := slices.ContainsFunc(drafts, func(d events.Draft) bool {
		_, commit := d.Data.(*events.CommitObserved)
		return commit && d.Application == s.of
	})
	if let := s.gate(); late && let != nil {
		s.once.Do(func() { close(s.waiting) })
		<-let
	}
	return s.ledger.Publish(ctx, cause, drafts...)
}

// A revision that is being published while its application is withdrawn comes
// into the log before the list that lacks it, however long that takes: after
// it, it would bring the application back to the cluster, for good.
func TestNoRevisionAfterTheListThatLacksIt(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	l.declareShop("web", "api")
	l.put("one", "web", "api")
	slow := &slowCommits{of: "web", waiting: make(chan struct{})}
	p := l.poller(l.bus.Connect(t, "watcher"), "one", func(log ledger, _ context.CancelFunc) ledger {
		slow.ledger = log
		return slow
	})
	p.poll()
	slow.hold()
	two := l.put("two", "web", "api")
	p.hub.look("shop", byWebhook)
	<-slow.waiting
	l.declareShop("api")
	bustest.Eventually(t, "the fleet is read anew, and its list out or waiting", func() bool {
		p.hub.look(fleetName, byWebhook)
		if !p.hub.publishing.TryRLock() { // the fleet reader waits for it
			return true
		}
		p.hub.publishing.RUnlock()
		list := l.last(&events.FleetObserved{}, events.Address{Cluster: "local"})
		return list != nil && list.Data.(*events.FleetObserved).Count == 1
	})
	close(slow.gate())
	p.poll()
	list := l.last(&events.FleetObserved{}, events.Address{Cluster: "local"})
	if n := list.Data.(*events.FleetObserved).Count; n != 1 {
		t.Fatalf("the last list has %d applications, want 1", n)
	}
	web := l.last(&events.CommitObserved{}, local("web"))
	if web.Stored > list.Stored {
		t.Errorf("web was observed at %d, after the list without it at %d", web.Stored, list.Stored)
	}
	l.observed("api", two)
}
