// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"sync"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// revisions is a gate at which revisions alone wait.
type revisions struct{ *gate }

func (r revisions) Publish(ctx context.Context, cause events.Cause, drafts ...events.Draft) ([]events.Event, error) {
	if _, ok := drafts[0].Data.(*events.CommitObserved); ok {
		return r.gate.Publish(ctx, cause, drafts...)
	}
	return r.ledger.Publish(ctx, cause, drafts...)
}

func (r revisions) PublishEach(ctx context.Context, posts []bus.Post) []bus.Posted {
	return each(ctx, r, posts)
}

// late is a watcher that has decided to publish a revision of the application
// gone when that is withdrawn from the fleet; it goes on at open.
func (l *lab) late() (p *poller, open func(), commit string) {
	l.Helper()
	l.config.FleetInterval = 1e13
	l.declareShop("stays", "gone")
	l.put("one", "stays", "gone")
	var g *gate
	p = l.poller(l.bus.Connect(l.T, "watcher"), "late", func(log ledger, _ context.CancelFunc) ledger {
		g = newGate(log)
		return revisions{g}
	})
	p.poll()
	g.close()
	open = sync.OnceFunc(g.open)
	l.Cleanup(open) // before the watcher is to end
	commit = l.put("two", "gone")
	bustest.Eventually(l, "a revision waits to be published", func() bool {
		p.hub.look("shop", byPoll)
		return g.held() > 0
	})
	l.declareShop("stays")
	return p, open, commit
}

// inOrder wants the last revision of the application gone before the last list
// of the fleet, which lacks it.
func (l *lab) inOrder() {
	l.Helper()
	revision, err := l.reader.Last(l.Context(), events.TypeOf(&events.CommitObserved{}).Subject(events.Address{Cluster: "local", Application: "gone"}))
	l.must(err)
	list, err := l.reader.Last(l.Context(), events.TypeOf(&events.FleetObserved{}).Subject(events.Address{Cluster: "local"}))
	l.must(err)
	if d, ok := list.Data.(*events.FleetObserved); !ok || d.Count != 1 {
		l.Fatalf("the last list is %+v", list.Data)
	}
	if revision.Stored > list.Stored {
		l.Errorf("the last revision of what is not declared is stored as %d, after the list, which is %d", revision.Stored, list.Stored)
	}
}

// The list that withdraws an application waits for its revisions that are on
// their way.
func TestListComesAfterTheRevisionsThatItEnds(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	p, open, _ := l.late()
	p.hub.look("", byPoll)
	bustest.Eventually(l, "the list waits", func() bool {
		if p.hub.placing.TryRLock() {
			p.hub.placing.RUnlock()
			return false
		}
		return true
	})
	open()
	p.poll()
	l.inOrder()
}

// A revision that another watcher, or a former process, has published after the
// list is followed by the list once more.
func TestListIsSaidAgainAfterALateRevision(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	p, open, commit := l.late()
	l.poller(l.bus.Connect(t, "watcher"), "other", nil).poll() // says the list
	open()
	l.observed("gone", commit)
	p.poll()
	l.inOrder()
}
