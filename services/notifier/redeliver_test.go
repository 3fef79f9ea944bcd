// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/fault"
	"github.com/plumbline-dev/plumbline/internal/incident"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// TestRedelivered has every event that the notifier consumes worked on twice,
// in any order, and by a notifier that crashed between publishing and
// acknowledging: what is told, and the events about it, are the same.
func TestRedelivered(t *testing.T) {
	var mu sync.Mutex
	slacks := map[string]*slackserver.Server{} // of each run
	counts := map[string]int{}
	bustest.Redeliver(t, bustest.Redelivery{
		User: "notifier",
		Inputs: func(tb testing.TB, s *bustest.Server) []bustest.Input {
			tb.Helper()
			r := &rig{t: tb, bus: s, conns: map[string]*bus.Conn{}}
			shop, web, over := r.app("shop"), r.app("web"), r.app("over")
			for _, a := range []*app{shop, web, over} {
				a.commit("a")
			}
			shop.renderFailed("no")
			web.failed("no")
			web.persisted("one")
			web.resolved("two", false)
			web.persisted("three")
			web.resolved("three", true)
			over.renderFailed("no")
			over.commit("b")
			over.rendered()
			r.publish("watcher", events.Address{Key: "shop"}, &events.SourceUnreachable{Repository: "shop", Reason: events.ReasonUnreachable, Since: testTime})
			slack := listen(tb, slackserver.Options{})
			mu.Lock()
			slacks[tb.Name()] = slack
			mu.Unlock()
			tb.Cleanup(func() {
				mu.Lock()
				counts[tb.Name()] = len(slack.Messages())
				mu.Unlock()
			})
			return nil
		},
		Handler: func(tb testing.TB, c *bus.Conn) bus.Handler {
			tb.Helper()
			mu.Lock()
			slack := slacks[tb.Name()]
			mu.Unlock()
			return direct(tb, c, slack)
		},
	})
	const told = 7 // of shop, web, one, two, three, over and the repository
	for name, n := range counts {
		if n != told {
			t.Errorf("%s: %d messages, want %d", name, n, told)
		}
	}
}

// What Slack took and the log lacks is said again, and not told again.
func TestToldAndNotRecorded(t *testing.T) {
	r := newRig(t)
	shop := r.app("shop-web")
	shop.commit("a")
	shop.renderFailed("no")
	c := r.bus.Connect(t, "notifier")
	handler := direct(t, c, r.slack)
	lost := 0
	bustest.Run(t, c.Consumer("notifier", func(ctx context.Context, in events.Event) ([]events.Draft, error) {
		drafts, err := handler(ctx, in)
		if len(drafts) > 0 && lost < 2 {
			lost++
			return nil, fault.RetryAfter(errors.New("not published"), time.Millisecond)
		}
		return drafts, err
	}, bus.Options{}))
	r.told(shop.scope(incident.Render), open)
	r.messages(1)
	if lost != 2 {
		t.Errorf("%d answers were lost", lost)
	}
}

// direct is a handler of a notifier that has just begun, which tells what is
// due at once.
func direct(tb testing.TB, c *bus.Conn, slack *slackserver.Server) bus.Handler {
	tb.Helper()
	cfg := configFor(tb, nil, slack)
	times := quick
	times.pace, times.settle, times.few = 0, 0, 100
	n := newNotifier(cfg, times, bustest.Log(tb), c, newClient(cfg, times.request))
	return func(ctx context.Context, in events.Event) ([]events.Draft, error) {
		if _, err := n.scopes(ctx); err != nil {
			return nil, err
		}
		var drafts []events.Draft
		for _, s := range n.concerned(in) {
			of, err := n.tell(ctx, s)
			if err != nil {
				return nil, err
			}
			drafts = append(drafts, of...)
		}
		return drafts, nil
	}
}
