// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/incident"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

func TestOneThreadPerIncident(t *testing.T) {
	r := newRig(t)
	r.start()
	shop := r.app("shop-web")
	shop.commit("a")
	failed := shop.renderFailed("mapping values are not allowed here")
	scope := shop.scope(incident.Render)
	first := r.told(scope, open)
	if first.Event != failed.ID || first.Place != failed.Stored || first.Thread == "" || first.Message != "" || !strings.HasPrefix(first.Channel, "C") {
		t.Errorf("the first alert is %+v", first)
	}
	contains(t, r.slack.String(), "🔴 shop-web (local): can't be rendered", "mapping values are not allowed here",
		"in `deploy/web.yaml:7` · commit `aaaaaaaaaaaa` by Ann: Change a", "`syntax`", "trace `4bf92f3577b34da6a3ce929d0e0e4736`", "what to do (https://", "/syntax.md)")

	shop.commit("b")
	shop.renderFailed("still not allowed")
	second := r.told(scope, func(p *events.AlertDelivered) bool { return p.Event != first.Event })
	shop.commit("c")
	shop.rendered()
	last := r.told(scope, over)
	if second.Thread != first.Thread || last.Thread != first.Thread || second.Message == "" || last.Message == second.Message {
		t.Errorf("threads: %+v, %+v, %+v", first, second, last)
	}
	all := r.messages(3)
	if all[0].Thread != "" || all[1].Thread != all[0].TS || all[2].Thread != all[0].TS {
		t.Fatalf("not one thread:\n%s", r.slack)
	}
	contains(t, all[1].Text, ":red_circle: Still:")
	contains(t, all[2].Text, ":white_check_mark: resolved after", "it renders again (commit `cccccccccccc`)")
	for _, m := range all {
		contains(t, strings.Join(m.Body, "\n"), "trace `4bf92f3577b34da6a3ce929d0e0e4736`")
	}
	contains(t, all[0].Text, ":white_check_mark: ~*shop-web* (local): can't be rendered~ resolved after")
	if all[0].Color != green || len(all[0].Updates) != 2 {
		t.Errorf("the first message is %+v", all[0])
	}

	for _, e := range r.alerts(scope) {
		if e.Traceparent != failed.Traceparent || e.CorrelationID != failed.CorrelationID {
			t.Errorf("%s is not of the commit's trace: %s, %s", e.Type.Name(), e.Traceparent, e.CorrelationID)
		}
	}

	shop.commit("d")
	shop.renderFailed("once more")
	if again := r.told(scope, open); again.Thread == first.Thread {
		t.Errorf("the next incident is in the old thread: %+v", again)
	}
	r.messages(4)
}

// Each kind of incident is opened and closed by what the pipeline publishes.
func TestEveryKind(t *testing.T) {
	r := newRig(t)
	r.start()
	shop := r.app("shop-web")
	shop.commit("a")
	at, _ := shop.divergence("web", testTime)
	source, declared := events.Address{Key: "shop"}, events.Address{Key: "decl"}
	list := func(commit string, refused ...string) {
		r.listed(events.FleetObserved{Commit: commit, Rejections: refused, RejectionCount: len(refused)}, shop.name)
	}
	for _, c := range []struct {
		scope incident.Scope
		open  func()
		says  []string
		close func()
		ended string
	}{
		{
			incident.Scope{Kind: incident.Divergence, Address: at},
			func() { shop.persisted("web") },
			[]string{
				"🔴 shop-web (local): Deployment.apps/shop/web differs from Git", "`/spec/replicas`: Git `2`, live `5`", "Written by `kubectl-edit` (Update) at ",
				"Declared in `deploy/web.yaml:12` · commit `bbbbbbbbbbbb` by Bea", "plumbline sync shop-web", "/divergence-changed.md",
			},
			func() { shop.resolved("web", true) }, "it was put back",
		},
		{
			shop.scope(incident.Commit),
			func() {
				shop.say("watcher", &events.CommitRejected{Repository: "shop", Ref: "refs/heads/main", Commit: strings.Repeat("e", 40), Author: events.Person{Name: "Eve"}, Reason: events.ReasonSignature, Message: "It is not signed."})
			},
			[]string{"🔴 shop-web (local): a commit was refused", "It is not signed.", "commit `eeeeeeeeeeee` by Eve", "`signature_rejected`"},
			func() { shop.commit("f") }, "a newer commit was accepted (commit `ffffffffffff`)",
		},
		{
			shop.scope(incident.Convergence),
			func() { shop.failed("1 object was refused.") },
			[]string{"🔴 shop-web (local): did not converge", "`Service/shop/web` in `deploy/web.yaml:3`: no such port", "/refused.md"},
			func() { shop.completed() }, "it has converged",
		},
		{
			shop.scope(incident.Convergence),
			func() {
				shop.say("applier-local", &events.ConvergenceDegraded{Converging: shop.converging(), Reason: events.ReasonUnhealthy, Message: "1 of 2 replicas"})
			},
			[]string{"🔴 shop-web (local): lost its health", "1 of 2 replicas", "/unhealthy.md"},
			func() { shop.completed() }, "it has converged",
		},
		{
			shop.scope(incident.Hold),
			func() {
				shop.say("applier-local", &events.ConvergenceHeld{Converging: shop.converging(), Reason: events.ReasonPruneGuard, Message: "5 of 6 objects would go.", Hold: "sha256:f00"})
			},
			[]string{"🟡 shop-web (local): waits for an approval", "plumbline approve shop-web sha256:f00", "/prune_guard.md"},
			func() {
				shop.say("operator", &events.ApprovalGiven{Hold: "sha256:f00", By: "ada"})
				shop.say("applier-local", &events.ConvergenceApplied{Converging: shop.converging()})
			}, "it was approved, and applied",
		},
		{
			shop.scope(incident.Withdrawal),
			func() {
				shop.say("applier-local", &events.ApplicationWithdrawn{Outcome: events.ActionHeld, Reason: events.ReasonWithdrawalGuard, Message: "4 of 5 at once.", Hold: "sha256:b00"})
			},
			[]string{"🟡 shop-web (local): is no longer declared", "plumbline approve shop-web sha256:b00"},
			func() { shop.say("applier-local", &events.ApplicationWithdrawn{Outcome: events.ActionPruned}) }, "it was withdrawn",
		},
		{
			incident.Scope{Kind: incident.Source, Address: source},
			func() {
				r.publish("watcher", source, &events.SourceUnreachable{Repository: "shop", Reason: events.ReasonUnauthorized, Message: "It refuses our credentials.", Since: testTime})
			},
			[]string{"🟡 repository shop can't be read", "It refuses our credentials.", "/unauthorized.md"},
			func() {
				r.publish("watcher", source, &events.SourceRecovered{Repository: "shop", Since: testTime})
			}, "it can be read again",
		},
		{
			incident.Scope{Kind: incident.Declaration, Address: declared},
			func() {
				r.publish("watcher", declared, &events.FleetRejected{Kind: "Application", Name: "shop-web", File: "fleet/shop.yaml", Commit: "f1", Problems: []events.Problem{{Line: 14, Field: "spec.prun", Message: "is not known here"}}})
				list("f1", "decl")
			},
			[]string{"🟡 the declaration of Application shop-web is refused", "spec.prun: is not known here", "in `fleet/shop.yaml:14`"},
			func() { list("f2", "another") }, "it is correct now, or no longer declared",
		},
	} {
		before := len(r.slack.Threads())
		c.open()
		told := r.told(c.scope, open)
		contains(t, r.slack.String(), c.says...)
		c.close()
		r.told(c.scope, over)
		threads := r.slack.Threads()
		if len(threads) != before+1 {
			t.Fatalf("%s has %d threads:\n%s", c.scope.Kind, len(threads)-before, r.slack)
		}
		thread := threads[before]
		if len(thread) != 2 || thread[0].TS != told.Thread || thread[0].Color != green {
			t.Errorf("the thread of %s is %+v", c.scope.Kind, thread)
		}
		contains(t, thread[len(thread)-1].Text, c.ended)
	}
	if n := slices.IndexFunc(r.slack.Calls(), func(c slackserver.Call) bool { return c.Answer != "ok" }); n >= 0 {
		t.Errorf("Slack has refused something: %+v", r.slack.Calls()[n])
	}
}

// What is wrong with an application of which nothing was ever applied is over
// when it is no longer declared, whoever runs then.
func TestNoLongerDeclared(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	web, api := r.app("shop-web"), r.app("shop-api")
	r.declared(web.name, api.name)
	for _, a := range []*app{web, api} {
		a.commit("a")
		a.renderFailed("no")
		r.told(a.scope(incident.Render), open)
	}
	api.say("applier-local", &events.ConvergenceFailed{Converging: api.converging(), Reason: events.ReasonRefused, Message: "no"})
	r.told(api.scope(incident.Convergence), open)
	r.declared(api.name)
	r.told(web.scope(incident.Render), over)
	contains(t, r.slack.Threads()[0][1].Text, "it is no longer declared")
	if n := r.quiet(); n != 4 {
		t.Fatalf("%d messages:\n%s", n, r.slack)
	}
	stop()
	r.declared()
	stop = r.start()
	r.told(api.scope(incident.Render), over)
	r.told(api.scope(incident.Convergence), over)
	web.renderFailed("a word that came late")
	if n := r.quiet(); n != 6 {
		t.Errorf("%d messages:\n%s", n, r.slack)
	}
	// Declared again, it is another: what was wrong with the former stays over.
	stop()
	r.declared(web.name, api.name)
	r.start()
	if n := r.quiet(); n != 6 {
		t.Errorf("declared again, %d messages:\n%s", n, r.slack)
	}
	api.commit("b")
	api.renderFailed("no again")
	r.told(api.scope(incident.Render), open)
	if n := r.quiet(); n != 7 {
		t.Errorf("failed again, %d messages:\n%s", n, r.slack)
	}
}

// A list whose body comes late ends what it lacks when it is there, and what it
// tells of declarations before.
func TestListBeforeItsBody(t *testing.T) {
	r := newRig(t)
	r.start()
	shop := r.app("shop-web")
	shop.commit("a")
	shop.renderFailed("no")
	r.told(shop.scope(incident.Render), open)
	declaration := incident.Scope{Kind: incident.Declaration, Address: events.Address{Key: "decl"}}
	r.publish("watcher", declaration.Address, &events.FleetRejected{File: "fleet/shop.yaml", Commit: "e", Problems: []events.Problem{{Line: 1, Message: "no"}}})
	r.told(declaration, open)
	sum := sha256.Sum256([]byte("[]"))
	name := blob.Root + ".watcher.fleet.local." + hex.EncodeToString(sum[:])
	r.publish("watcher", events.Address{Cluster: "local"}, &events.FleetObserved{
		Commit: "f", List: events.Blob{Name: name, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: 2, Chunks: 1},
	})
	r.told(declaration, over)
	if _, err := r.conn("watcher").Blobs().Put(t.Context(), blob.Root+".watcher.fleet.local", []byte("[]")); err != nil {
		t.Fatal(err)
	}
	r.told(shop.scope(incident.Render), over)
}

// What one event ends is told one after the other: that the first was told is in
// the log before the second is, so that a notifier that is killed repeats one at
// most.
func TestOneEventEndsSeveral(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	shop := r.app("shop-web")
	render, convergence := shop.scope(incident.Render), shop.scope(incident.Convergence)
	begin := func() {
		r.declared(shop.name)
		shop.commit("a")
		shop.renderFailed("no")
		shop.failed("no")
		r.told(render, open)
		r.told(convergence, open)
		r.slack.Stored(func(slackserver.Message) { r.slack.Down(slackserver.Status(503)) })
	}
	end := func() {
		t.Helper()
		bustest.Eventually(t, "the first of two", func() bool {
			return over(last(r.alerts(render))) != over(last(r.alerts(convergence)))
		})
		r.slack.Stored(nil)
		r.slack.Up()
		r.told(render, over)
		r.told(convergence, over)
	}
	begin()
	r.declared()
	end()
	for _, s := range []incident.Scope{render, convergence} {
		all := r.alerts(s)
		if e := all[len(all)-1]; e.CausationID != last(all).Event {
			t.Errorf("an alert of the event %s says that it comes from %s", last(all).Event, e.CausationID)
		}
	}
	begin()
	stop()
	r.declared()
	r.start()
	end()
}

func last(all []events.Event) *events.AlertDelivered {
	return all[len(all)-1].Data.(*events.AlertDelivered)
}

// A message that somebody deletes is not there to be marked.
func TestDeletedMessage(t *testing.T) {
	r := newRig(t)
	r.start()
	shop := r.app("shop-web")
	shop.commit("a")
	shop.renderFailed("no")
	first := r.told(shop.scope(incident.Render), open)
	r.slack.Delete(first.Thread)
	shop.commit("b")
	shop.rendered()
	last := r.told(shop.scope(incident.Render), over)
	if all := r.messages(1); all[0].TS != last.Thread || all[0].Color != green {
		t.Errorf("%+v\n%s", last, r.slack)
	}
}

// A notifier that is given another channel goes on in the threads of the old
// one as long as it may, and then in its own.
func TestAnotherChannel(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	shop := r.app("shop-web")
	shop.commit("a")
	shop.renderFailed("no")
	first := r.told(shop.scope(incident.Render), open)
	stop()
	r.slack = listen(t, slackserver.Options{Channels: []string{"other"}})
	r.slack.Next(slackserver.Refuse("channel_not_found"), slackserver.Refuse("channel_not_found"))
	r.cfg.URL, r.cfg.Channel = r.slack.URL(), "other"
	r.start()
	shop.commit("b")
	shop.rendered()
	last := r.told(shop.scope(incident.Render), over)
	if all := r.messages(1); all[0].Thread != "" || all[0].TS != last.Thread {
		t.Errorf("%+v, then %+v:\n%s", first, last, r.slack)
	}
	if len(r.alerts(shop.scope(incident.Render))) != 2 {
		t.Error("an alert was refused")
	}
}

// What is escalated is said in the thread: another reason, another digest to
// approve.
func TestEscalation(t *testing.T) {
	r := newRig(t)
	r.start()
	shop := r.app("shop-web")
	shop.commit("a")
	hold := func(digest string) {
		shop.say("applier-local", &events.ConvergenceHeld{Converging: shop.converging(), Reason: events.ReasonPruneGuard, Message: "5 of 6.", Hold: digest})
	}
	hold("sha256:1")
	first := r.told(shop.scope(incident.Hold), open)
	hold("sha256:1") // says nothing new
	hold("sha256:2")
	second := r.told(shop.scope(incident.Hold), func(p *events.AlertDelivered) bool { return p.Event != first.Event })
	all := r.messages(2)
	if second.Thread != first.Thread || !strings.Contains(strings.Join(all[0].Body, "\n"), "sha256:2") || !strings.Contains(strings.Join(all[1].Body, "\n"), "sha256:2") {
		t.Errorf("the digest to approve is not the present one:\n%s", r.slack)
	}
	if n := r.quiet(); n != 2 {
		t.Errorf("%d messages:\n%s", n, r.slack)
	}
}
