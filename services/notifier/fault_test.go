// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/incident"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// However Slack fails, each message arrives once and in order.
func TestFaultsOfSlack(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]slackserver.Fault{
		"500": slackserver.Status(500), "503": slackserver.Status(503), "html": slackserver.HTML(), "hang": slackserver.Hang(),
		"internal_error": slackserver.Refuse("internal_error"), "404": slackserver.Status(404),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.hurries(name)
			r.slack.Next(fault, fault)
			r.start()
			shop := r.app("shop-web")
			shop.commit("a")
			shop.renderFailed("no")
			first := r.told(shop.scope(incident.Render), open)
			r.slack.Next(fault, fault, fault)
			shop.commit("b")
			shop.rendered()
			last := r.told(shop.scope(incident.Render), over)
			all := r.messages(2)
			if first.Thread != last.Thread || all[1].Thread != all[0].TS {
				t.Errorf("not one thread:\n%s", r.slack)
			}
		})
	}
}

// hurries has the notifier wait less long for what hangs, as it waits in vain. An
// answer that comes, if late, must be in time: else the message is sent again.
func (r *rig) hurries(fault string) {
	if fault == "hang" {
		r.timing.request = 3 * time.Second
	}
}

// A Slack that is out delays the notifier alone, and only its own consumer
// stands still.
func TestOutageDelaysOnlySlack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.slack.Down(slackserver.HTML())
	r.start()
	shop := r.app("shop-web")
	shop.commit("a")
	shop.renderFailed("no")
	r.noticesTheOutage()
	if all := r.bus.Events(t, "plumbline.v1.message.rejected.>"); len(all) > 0 {
		t.Errorf("an outage was counted: %+v", all)
	}
	r.slack.Up()
	r.told(shop.scope(incident.Render), open)
}

// A message that Slack never answers, and Slack is there, is that one's own
// trouble: the others are told meanwhile, it is given up and said so, and not
// tried for ever.
func TestAMessageThatAloneGetsNoAnswerStopsNobody(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]slackserver.Fault{
		"500": slackserver.Status(500), "html": slackserver.HTML(), "hang": slackserver.Hang(), "internal_error": slackserver.Refuse("internal_error"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.hurries(name)
			r.slack.About("the poison", fault)
			r.start()
			bad, good := r.app("bad"), r.app("good")
			bad.commit("a")
			good.commit("a")
			bad.renderFailed("the poison")
			bustest.Eventually(t, "it is tried", func() bool { return len(r.slack.Calls()) > 0 })
			good.renderFailed("no")
			r.told(good.scope(incident.Render), open)

			s := bad.scope(incident.Render)
			bustest.Eventually(t, "it is given up", func() bool { return len(r.alerts(s)) > 0 })
			p, ok := r.alerts(s)[0].Data.(*events.AlertFailed)
			if !ok || p.Reason != events.ReasonAlertRefused || !strings.Contains(p.Message, "Slack is there") || !strings.Contains(p.Message, "plumbline alerts") {
				t.Errorf("%+v", r.alerts(s)[0].Data)
			}
			if n := r.quiet(); n != 1 {
				t.Errorf("%d messages:\n%s", n, r.slack)
			}
			if err := r.health.Ready(); err != nil {
				t.Errorf("not ready for one message: %v", err)
			}
			if n := r.posts(name); n > unansweredLimit+1 {
				t.Errorf("posted %d times", n)
			}
			r.slack.Clear()
			r.publish("operator", events.Address{}, &events.SyncRequested{By: "ada"})
			r.told(s, open)
		})
	}
}

// A Slack that is there and takes no message has each given up; the first that it
// takes brings the others, with nobody asking.
func TestASlackThatTakesNoMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.slack.About(":red_circle:", slackserver.Status(503))
	r.start()
	one, two, three := r.app("one"), r.app("two"), r.app("three")
	for _, a := range []*app{one, two} {
		a.commit("a")
		a.renderFailed("no")
	}
	for _, a := range []*app{one, two} {
		bustest.Eventually(t, "alert.failed", func() bool { return len(r.alerts(a.scope(incident.Render))) == 1 })
	}
	r.slack.Clear()
	three.commit("a")
	three.renderFailed("no")
	for _, a := range []*app{three, one, two} {
		r.told(a.scope(incident.Render), open)
	}
	r.messages(3)
}

// A digest that alone gets no answer is given up as well, and is not in the way.
func TestADigestThatGetsNoAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.timing.few = 0
	r.slack.About("began and ended before", slackserver.HTML())
	r.start()
	shop, other := r.app("shop-web"), r.app("other")
	shop.commit("a")
	other.commit("a")
	at, _ := shop.divergence("web", time.Now())
	shop.resolved("web", true)
	s := incident.Scope{Kind: incident.Divergence, Address: at}
	bustest.Eventually(t, "it is given up", func() bool { return len(r.alerts(s)) > 0 })
	if p, ok := r.alerts(s)[0].Data.(*events.AlertFailed); !ok || p.Reason != events.ReasonAlertRefused {
		t.Errorf("%+v", r.alerts(s)[0].Data)
	}
	other.renderFailed("no")
	r.told(other.scope(incident.Render), open)
	if n := r.posts("html"); n != unansweredLimit {
		t.Errorf("posted %d times", n)
	}
}

// posts is how often a message was answered so.
func (r *rig) posts(answer string) int {
	n := 0
	for _, c := range r.slack.Calls() {
		if c.Method == "chat.postMessage" && c.Answer == answer {
			n++
		}
	}
	return n
}

// Retry-After is obeyed, whoever else has something to tell.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	shop := r.app("shop-web")
	shop.commit("a")
	r.slack.Next(slackserver.TooMany(2 * time.Second))
	shop.renderFailed("no")
	shop.failed("no")
	r.told(shop.scope(incident.Render), open)
	r.told(shop.scope(incident.Convergence), open)
	calls := r.slack.Calls()
	if calls[0].Answer != "429" || calls[1].Time.Sub(calls[0].Time) < 2*time.Second {
		t.Errorf("not obeyed: %+v", calls)
	}
	r.messages(2)
	if err := r.health.Ready(); err != nil {
		t.Errorf("Slack asks to wait, and that is no trouble: %v", err)
	}
}

// What Slack refuses for good is said in an event, once, and told as soon as
// the token is another one.
func TestRefusedToken(t *testing.T) {
	r := newRig(t)
	const bad = "xoxb-revoked"
	if err := os.WriteFile(r.cfg.TokenFile, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	shop := r.app("shop-web")
	shop.commit("a")
	shop.renderFailed("no")
	shop.failed("no")
	scopes := []incident.Scope{shop.scope(incident.Render), shop.scope(incident.Convergence)}
	for _, s := range scopes {
		bustest.Eventually(t, "alert.failed", func() bool { return len(r.alerts(s)) == 1 })
		p, ok := r.alerts(s)[0].Data.(*events.AlertFailed)
		if !ok || p.Reason != events.ReasonTokenRefused || !strings.Contains(p.Message, "--slack-token-file") {
			t.Errorf("%+v", r.alerts(s)[0].Data)
		}
	}
	if n := len(r.slack.Calls()); n != 1 {
		t.Errorf("%d calls with a token that is refused", n)
	}
	if err := r.health.Ready(); err == nil || !strings.Contains(err.Error(), "Slack refuses the token") || strings.Contains(err.Error(), bad) {
		t.Errorf("ready: %v", err)
	}
	r.publish("operator", events.Address{}, &events.SyncRequested{By: "ada"})
	bustest.Eventually(t, "another try", func() bool { return len(r.slack.Calls()) == 2 })
	if err := os.WriteFile(r.cfg.TokenFile, []byte(slackserver.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range scopes {
		r.told(s, open)
		if n := len(r.alerts(s)); n != 2 {
			t.Errorf("%d events about one alert, want failed and delivered", n)
		}
	}
	r.messages(2)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]events.Reason{
		"channel_not_found": events.ReasonChannelMissing, "not_in_channel": events.ReasonChannelMissing, "invalid_auth": events.ReasonTokenRefused,
		"missing_scope": events.ReasonAlertRefused, "msg_too_long": events.ReasonAlertRefused, "something_new": events.ReasonAlertRefused,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.slack.Down(slackserver.Refuse(code))
			r.start()
			shop := r.app("shop-web")
			shop.commit("a")
			shop.renderFailed("no")
			s := shop.scope(incident.Render)
			bustest.Eventually(t, "alert.failed", func() bool { return len(r.alerts(s)) == 1 })
			p, ok := r.alerts(s)[0].Data.(*events.AlertFailed)
			if !ok || p.Reason != want || p.Message == "" {
				t.Errorf("%+v", r.alerts(s)[0].Data)
			}
			r.slack.Up()
			r.publish("operator", events.Address{}, &events.SyncRequested{By: "ada"})
			r.told(s, open)
		})
	}
}

// The bus goes away between Slack's answer and the event about it: the alert
// is in the log once the bus is back, and in Slack once.
func TestBusLostAfterSlacksAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	shop := r.app("shop-web")
	shop.commit("a")
	shop.renderFailed("no")
	down := make(chan struct{})
	r.slack.Stored(func(slackserver.Message) {
		r.slack.Stored(nil)
		r.bus.Down(t)
		close(down)
	})
	r.start()
	<-down
	r.bus.Up(t)
	r.told(shop.scope(incident.Render), open)
	if n := r.quiet(); n != 1 {
		t.Errorf("%d messages:\n%s", n, r.slack)
	}
}

// The log is lost underneath it: what has a thread goes on in it.
func TestLogLost(t *testing.T) {
	r := newRig(t)
	r.start()
	shop := r.app("shop-web")
	for range 5 {
		shop.commit("a")
	}
	shop.renderFailed("no")
	first := r.told(shop.scope(incident.Render), open)
	store := r.bus.Store()
	r.bus.Down(t)
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	r.bus.Up(t)
	shop.commit("a")
	shop.renderFailed("no")
	if again := r.told(shop.scope(incident.Render), open); again.Thread != first.Thread {
		t.Errorf("another thread: %+v", again)
	}
	shop.commit("b")
	shop.rendered()
	if last := r.told(shop.scope(incident.Render), over); last.Thread != first.Thread {
		t.Errorf("another thread: %+v", last)
	}
	if n := r.quiet(); n != 2 {
		t.Errorf("%d messages:\n%s", n, r.slack)
	}
}
