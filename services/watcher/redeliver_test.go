// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// calm is a repository that is looked at when a watcher is told to.
func (l *lab) calm() string {
	return strings.Replace(repository("shop", l.shop.URL), "interval: 1s", "interval: 1h", 1)
}

// line is what an event says, with commits by the names that a test gives
// them.
func line(e events.Event, names map[string]string) string {
	what := strings.Join([]string{e.Type.Name(), e.Cluster, e.Application}, " ")
	switch p := e.Data.(type) {
	case *events.CommitObserved:
		what += fmt.Sprint(" ", names[p.Revision.Commit], " ", p.Revision.Cause)
		if p.Revision.Forced {
			what += " forced"
		}
	case *events.CommitRejected:
		what += fmt.Sprint(" ", names[p.Commit])
	case *events.FleetObserved:
		what += fmt.Sprint(p.Count, " held ", p.Held)
	case *events.FleetRejected:
		what += p.Name
	case *events.SourceUnreachable:
		what += p.Repository
	case *events.SourceRecovered:
		what += p.Repository
	}
	return what
}

// lines is what the log says; the subjects in order of name, each in its own
// order.
func (l *lab) lines(names map[string]string) []string {
	l.Helper()
	all := l.log("*.*")
	slices.SortStableFunc(all, func(a, b events.Event) int {
		return strings.Compare(a.Type.Subject(a.Address), b.Type.Subject(b.Address))
	})
	var lines []string
	for _, e := range all {
		lines = append(lines, line(e, names))
	}
	return lines
}

// TestRedelivery gives sync.requested to a watcher that waits for it, and
// again to one that knows nothing, and demands the same log.
func TestRedelivery(t *testing.T) {
	t.Parallel()
	var l *lab
	var names map[string]string
	var current *poller
	processes := 0
	bustest.Redeliver(t, bustest.Redelivery{
		User: "watcher",
		// One at a time, so that a look is that of one watcher.
		Options: bus.Options{Concurrency: 1},
		Inputs: func(tb testing.TB, s *bustest.Server) []bustest.Input {
			l = labOn(tb.(*testing.T), s, gitserver.Options{})
			l.config.FleetInterval = 1e13
			a := l.put("a", "web", "api")
			l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": l.calm() + application("web", "shop", "") + application("api", "shop", "")}))
			current = l.poller(s.Connect(tb, "watcher"), "first", nil)
			l.observed("web", a)
			l.observed("api", a)
			current.poll()
			names = map[string]string{a: "A", l.put("b", "web"): "B"}
			var inputs []bustest.Input
			for _, application := range []string{"web", "none", ""} {
				inputs = append(inputs, bustest.Input{
					User: "operator", Cause: events.Cause{ID: "sync " + application},
					Draft: events.Draft{Data: &events.SyncRequested{By: "test"}, Address: events.Address{Application: application}},
				})
			}
			return inputs
		},
		Handler: func(tb testing.TB, c *bus.Conn) bus.Handler {
			return func(ctx context.Context, in events.Event) ([]events.Draft, error) {
				drafts, err := current.hub.handle(ctx, in)
				if in.Application != "none" {
					bustest.Eventually(tb, "both at B", func() bool {
						return slices.Equal(l.revisions(names), []string{"api A declaration", "web A declaration", "web B commit", "api B commit"})
					})
				}
				current.poll()
				current.stop()
				processes++
				current = l.poller(c, fmt.Sprint(processes), nil)
				current.poll()
				return drafts, err
			}
		},
		Same: func(e events.Event) string { return line(e, names) },
	})
}

// gate is a log at which publishing waits while it is closed.
type gate struct {
	ledger

	mu      sync.Mutex
	opened  chan struct{} // closed: open
	waiting int
}

func newGate(l ledger) *gate {
	g := &gate{ledger: l, opened: make(chan struct{})}
	close(g.opened)
	return g
}

func (g *gate) Publish(ctx context.Context, cause events.Cause, drafts ...events.Draft) ([]events.Event, error) {
	g.mu.Lock()
	opened := g.opened
	g.waiting++
	g.mu.Unlock()
	<-opened
	g.mu.Lock()
	g.waiting--
	g.mu.Unlock()
	return g.ledger.Publish(ctx, cause, drafts...)
}

func (g *gate) PublishEach(ctx context.Context, posts []bus.Post) []bus.Posted {
	return each(ctx, g, posts)
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.opened)
}

func (g *gate) held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}

// TestPollsLeaveOneLog leads watchers through everything that they say, in
// several ways of looking, and demands that the log says it once.
func TestPollsLeaveOneLog(t *testing.T) {
	for name, way := range map[string]func(l *lab) (look func()){
		"once":        lookOnce,
		"repeated":    lookRepeatedly,
		"in turn":     lookInTurn,
		"interleaved": lookInterleaved,
		"crash":       func(l *lab) func() { return lookAndCrash(l, false) },
		"crash, disk": func(l *lab) func() { return lookAndCrash(l, true) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, gitserver.Options{})
			l.config.FleetInterval = 1e13
			l.config.Limits = DefaultLimits()
			l.config.Limits.File = 10_000
			l.everything(way(l))
		})
	}
}

// lookOnce is one watcher.
func lookOnce(l *lab) func() {
	return l.poller(l.bus.Connect(l.T, "watcher"), "one", nil).poll
}

// lookRepeatedly is one watcher that looks again, and that believes nothing of
// what it remembers of the bus in between.
func lookRepeatedly(l *lab) func() {
	p := l.poller(l.bus.Connect(l.T, "watcher"), "one", nil)
	return func() {
		p.poll()
		p.hub.sync("")
		p.poll()
	}
}

// lookInTurn is two watchers, one after the other.
func lookInTurn(l *lab) func() {
	one := l.poller(l.bus.Connect(l.T, "watcher"), "one", nil)
	two := l.poller(l.bus.Connect(l.T, "watcher"), "two", nil)
	return func() {
		one.poll()
		two.poll()
	}
}

// lookInterleaved is two watchers, of which one has decided what to publish
// when the other publishes the same, and looks again in the other's turn.
func lookInterleaved(l *lab) func() {
	var late *gate
	one := l.poller(l.bus.Connect(l.T, "watcher"), "one", nil)
	two := l.poller(l.bus.Connect(l.T, "watcher"), "two", func(log ledger, _ context.CancelFunc) ledger {
		late = newGate(log)
		return late
	})
	return func() {
		late.close()
		before := l.git.Listings("fleet")
		two.hub.look("", byPoll)
		bustest.Eventually(l, "the other is about to publish, or has nothing to", func() bool {
			two.hub.look("", byPoll)
			return late.held() > 0 || l.git.Listings("fleet") > before+4
		})
		one.poll()
		late.open()
		two.poll()
	}
}

// lookAndCrash is watchers that each end when they have published one thing,
// before they know that they have; what they keep on disk may be lost as well.
func lookAndCrash(l *lab, disk bool) func() {
	conn := l.bus.Connect(l.T, "watcher")
	return func() {
		for crashes, crashed := 0, true; crashed; crashes++ {
			if crashes > 20 {
				l.Fatal("each watcher has something to publish")
			}
			p := l.poller(conn, "one", func(log ledger, end context.CancelFunc) ledger {
				return &brittle{ledger: log, after: true, end: end, left: 1}
			})
			p.poll()
			crashed = p.ctx.Err() != nil
			p.stop()
			if disk {
				l.must(os.RemoveAll(p.mirrors))
			}
		}
	}
}

// everything goes through all that a watcher says; look is done after each
// change.
func (l *lab) everything(look func()) {
	l.Helper()
	names := map[string]string{}
	var want []string
	step := func(what string, say ...string) {
		l.Helper()
		look()
		want = append(want, say...)
		for _, line := range say {
			if !slices.Contains(l.lines(names), line) {
				l.Fatalf("%s: %q is not said", what, line)
			}
		}
	}
	declare := func(text string) { l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": l.calm() + text})) }
	web, api := application("web", "shop", ""), application("api", "shop", "")

	a := l.put("a", "web", "api")
	names[a] = "A"
	// In one commit: a watcher that looks between two says both.
	l.do(l.fleet.Put(map[string]string{
		"clusters/broken.yaml": application("db", "none", ""), "clusters/shop.yaml": l.calm() + web + api,
	}))
	step("the beginning", "fleet.rejected  db", "fleet.observed local 3 held 1",
		"commit.observed local web A declaration", "commit.observed local api A declaration")
	names[l.put("b", "web")] = "B"
	step("a commit", "commit.observed local web B commit", "commit.observed local api B commit")
	l.must(l.shop.Reset("main", a))
	step("history rewritten", "commit.observed local web A commit forced", "commit.observed local api A commit forced")
	l.git.Inject(gitserver.For("shop", gitserver.Down()))
	step("an outage", "source.unreachable  shop")
	l.git.Inject(nil)
	step("its end", "source.recovered  shop")
	names[l.put(strings.Repeat("x", 20_000), "web")] = "large"
	step("a commit over a limit", "commit.rejected local web large", "commit.rejected local api large")
	names[l.put("c", "web")] = "C"
	step("one within it", "commit.observed local web C commit", "commit.observed local api C commit")
	l.do(l.fleet.Commit(gitserver.Commit{Delete: []string{"clusters/broken.yaml"}}))
	declare(web)
	step("no longer declared", "fleet.observed local 1 held 0")
	_, err := l.bus.Connect(l.T, "applier-local").Publish(l.Context(), events.Cause{ID: "withdrawal"},
		events.Draft{Data: &events.ApplicationWithdrawn{Outcome: events.ActionPruned}, Address: local("api")})
	l.must(err)
	want = append(want, "application.withdrawn local api")
	declare(web + api)
	step("declared again", "fleet.observed local 2 held 0", "commit.observed local api C declaration")
	look()

	got := l.lines(names)
	slices.Sort(got)
	slices.Sort(want)
	l.same("the log", got, want...)
}
