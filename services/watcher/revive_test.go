// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// renderings answers revisions as a renderer would: by what is in config.yaml of
// an application's folder, which names the commit.
type renderings struct {
	*lab
	conn   *bus.Conn
	broken map[string]bool // commits
	done   map[string]bool // events that have their outcome
}

func (l *lab) renderings() *renderings {
	return &renderings{lab: l, conn: l.bus.Connect(l.T, "renderer"), broken: map[string]bool{}, done: map[string]bool{}}
}

// answer gives each application's newest revision its outcome, if it has none.
func (r *renderings) answer() {
	r.Helper()
	subjects, err := r.reader.Subjects(r.Context(), typeObserved.Filter("*"))
	r.must(err)
	for _, subject := range subjects {
		e, err := r.reader.Last(r.Context(), subject)
		r.must(err)
		if r.done[e.Epoch+e.ID] {
			continue
		}
		r.done[e.Epoch+e.ID] = true
		d := e.Data.(*events.CommitObserved)
		var p events.Payload = &events.ManifestsRendered{Manifests: events.Manifests{
			Revision: d.Revision, Declaration: d.Declaration, DeclarationDigest: d.DeclarationDigest, Digest: "sha256:" + strings.Repeat("0", 64),
		}}
		if r.broken[d.Revision.Commit] {
			p = &events.RenderFailed{Revision: d.Revision, Declaration: d.Declaration, Reason: events.ReasonSyntax, Message: "x"}
		}
		_, err = r.conn.Publish(r.Context(), events.CauseOf(e), events.Draft{Data: p, Address: e.Address})
		r.must(err)
	}
}

// until answers until a condition holds.
func (r *renderings) until(what string, ok func() bool) {
	r.Helper()
	bustest.Eventually(r, what, func() bool {
		r.answer()
		return ok()
	})
}

// has says that the newest revision of an application is of a commit, and has its
// outcome.
func (r *renderings) has(application, commit string) bool {
	r.Helper()
	e := r.last(&events.CommitObserved{}, local(application))
	return e != nil && e.Data.(*events.CommitObserved).Revision.Commit == commit && r.done[e.Epoch+e.ID]
}

// lose has the bus lose everything.
func (l *lab) lose() {
	l.Helper()
	store := l.bus.Store()
	l.bus.Down(l.T)
	l.must(os.RemoveAll(store))
	l.bus.Up(l.T)
}

// bundles are the commits of which there is a bundle in the log.
func (l *lab) bundles(application string, names map[string]string) []string {
	l.Helper()
	var all []string
	for _, e := range l.log("manifests.rendered") {
		if e.Application == application {
			all = append(all, names[e.Data.(*events.ManifestsRendered).Revision.Commit])
		}
	}
	return all
}

// A newest commit can't be rendered, and the bus has lost everything, with the
// watcher stopped or not: the log tells of what is in force, and ends with the
// newest commit. What can be rendered is said once, as ever.
func TestALostLogTellsOfWhatIsInForceWhileTheNewestCommitIsBroken(t *testing.T) {
	for name, stopped := range map[string]bool{"running": false, "stopped": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, gitserver.Options{})
			r := l.renderings()
			a := l.put("a", "web", "api")
			names := map[string]string{a: "A"}
			l.declareShop("web", "api")
			stop := l.watch()
			r.until("both at A", func() bool { return r.has("web", a) && r.has("api", a) })
			b := l.put("b", "api", "web")
			names[b] = "B"
			r.broken[b] = true
			r.until("B is broken", func() bool { return r.has("web", b) })
			l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) +
				application("web", "shop", "") + application("db", "shop", "") + application("api", "shop", "commit: "+a)}))
			r.until("one is back at A, another is new", func() bool { return r.has("api", a) && r.has("db", b) })
			if stopped {
				stop()
			}
			l.lose()
			if stopped {
				l.watch()
			}
			r.until("what is in force is told, and then the tip", func() bool {
				return len(l.bundles("web", names)) > 0 && r.has("web", b) && r.has("api", a) && r.has("db", b)
			})
			l.looks(6)
			r.answer()
			got := l.revisions(names)
			slices.SortStableFunc(got, func(a, b string) int { return strings.Compare(a[:4], b[:4]) })
			l.same("revisions", got, "api A log", "db B log", "web B log", "web A log", "web B log")
			l.same("bundles", l.bundles("web", names), "A")
		})
	}
}

// killedAt ends a watcher at the nth revision that it publishes, before or after
// it is stored.
type killedAt struct {
	*brittle
}

func (k killedAt) Publish(ctx context.Context, cause events.Cause, drafts ...events.Draft) ([]events.Event, error) {
	if _, ok := drafts[0].Data.(*events.CommitObserved); ok {
		return k.brittle.Publish(ctx, cause, drafts...)
	}
	return k.ledger.Publish(ctx, cause, drafts...)
}

func (k killedAt) PublishEach(ctx context.Context, posts []bus.Post) []bus.Posted {
	return each(ctx, k, posts)
}

// Wherever a watcher is killed, between what it writes down and what it
// publishes, before a log is lost and after: the next one tells of what is in
// force, and never of what was before that.
func TestKilledAroundALostLog(t *testing.T) {
	for _, after := range []bool{false, true} {
		for lost := range 2 { // revisions that are said before the log is lost
			for n := 1; n <= 3; n++ { // of the revisions in the new log: the tip, A, the tip
				name := "before"
				if after {
					name = "after"
				}
				t.Run(strings.Join([]string{name, []string{"B", "tip"}[lost], []string{"", "first", "second", "third"}[n]}, " "), func(t *testing.T) {
					l := newLab(t, gitserver.Options{})
					l.config.FleetInterval = 1e13
					r := l.renderings()
					a := l.put("a", "web")
					names := map[string]string{a: "A"}
					l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": l.calm() + application("web", "shop", "")}))
					conn := l.bus.Connect(t, "watcher")
					p := l.poller(conn, "one", nil)
					r.until("A", func() bool { p.poll(); return r.has("web", a) })
					p.stop()

					// B renders, and is what is in force: the watcher that says it is
					// killed before it hears so.
					b := l.put("b", "web")
					names[b] = "B"
					p = l.poller(conn, "one", func(log ledger, end context.CancelFunc) ledger {
						return killedAt{&brittle{ledger: log, after: true, end: end, left: 1}}
					})
					p.poll()
					p.stop()
					r.answer()
					c := l.put("c", "web")
					names[c] = "C"
					r.broken[c] = true
					if lost == 1 {
						p = l.poller(conn, "one", nil)
						r.until("C is broken", func() bool { p.poll(); return r.has("web", c) })
						p.stop()
					}

					l.lose()
					p = l.poller(conn, "one", func(log ledger, end context.CancelFunc) ledger {
						return killedAt{&brittle{ledger: log, after: after, end: end, left: n}}
					})
					r.until("the watcher is killed", func() bool { p.poll(); return p.ctx.Err() != nil })
					p.stop()
					p = l.poller(conn, "one", nil)
					r.until("what is in force is told, and then the tip", func() bool {
						p.poll()
						return len(l.bundles("web", names)) > 0 && r.has("web", c)
					})
					p.poll()
					for _, bundle := range l.bundles("web", names) {
						if bundle != "B" {
							t.Errorf("the cluster is led back: %v; revisions %v", l.bundles("web", names), l.revisions(names))
						}
					}
					if said := l.revisions(names); len(said) > 6 {
						t.Errorf("revisions: %v", said)
					}
				})
			}
		}
	}
}

// The tip doesn't overtake what is in force: it waits for that one's outcome. A
// branch that is gone meanwhile, and a tip that can't be said, leave it at that.
func TestTheTipWaitsForWhatIsInForce(t *testing.T) {
	for name, now := range map[string]func(l *lab, broken string) (tip string){
		"broken": func(_ *lab, broken string) string { return broken },
		"gone": func(l *lab, _ string) string {
			l.must(l.shop.DeleteBranch("dev"))
			return ""
		},
		"over a limit": func(l *lab, _ string) string {
			l.put(strings.Repeat("x", 20_000), "web")
			return ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, gitserver.Options{})
			l.config.FleetInterval = 1e13
			l.config.Limits = DefaultLimits()
			l.config.Limits.File = 10_000
			r := l.renderings()
			l.put("main", "other")
			l.do(l.shop.Git("checkout", "-q", "-b", "dev"))
			a := l.put("a", "web")
			l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": l.calm() + application("web", "shop", "branch: dev")}))
			p := l.poller(l.bus.Connect(t, "watcher"), "one", nil)
			r.until("A", func() bool { p.poll(); return r.has("web", a) })
			b := l.put("b", "web")
			r.broken[b] = true
			names := map[string]string{a: "A", b: "B"}
			r.until("B is broken", func() bool { p.poll(); return r.has("web", b) })
			tip := now(l, b)
			l.lose()
			at := func(commit string) bool {
				e := l.last(&events.CommitObserved{}, local("web"))
				return e != nil && e.Data.(*events.CommitObserved).Revision.Commit == commit
			}
			if tip != "" {
				bustest.Eventually(t, "the tip is said", func() bool { p.poll(); return at(tip) })
				r.answer()
			}
			bustest.Eventually(t, "A is said again", func() bool { p.poll(); return at(a) })
			for range 3 {
				p.poll()
			}
			if !at(a) {
				t.Errorf("A is overtaken: %v", l.revisions(names))
			}
			r.answer()
			if tip == "" {
				p.poll()
				l.same("revisions", l.revisions(names), "web A log")
				return
			}
			bustest.Eventually(t, "the tip", func() bool { p.poll(); return at(tip) })
			l.same("revisions", l.revisions(names), "web B log", "web A log", "web B log")
		})
	}
}
