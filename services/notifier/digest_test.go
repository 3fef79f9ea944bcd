// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/incident"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

func (a *app) divergenceScope(name string) incident.Scope {
	at, _ := a.divergence(name, testTime)
	return incident.Scope{Kind: incident.Divergence, Address: at}
}

// recorded waits until n alert.delivered are in the log.
func (r *rig) recorded(n int) []events.Event {
	r.t.Helper()
	var all []events.Event
	bustest.Eventually(r.t, fmt.Sprintf("%d alerts in the log", n), func() bool {
		all = r.bus.Events(r.t, "plumbline.v1.alert.delivered.>")
		return len(all) >= n
	})
	if len(all) != n {
		r.t.Fatalf("%d alerts in the log, want %d:\n%s", len(all), n, r.slack)
	}
	return all
}

// briefly is how many brief divergences are told, alone and in digests, and in
// how many messages. On a slow machine a window may end before all have come.
func (r *rig) briefly() (told, messages int) {
	r.t.Helper()
	for _, m := range r.slack.Messages() {
		var n int
		switch _, err := fmt.Sscanf(m.Text, ":white_check_mark: *%d divergence", &n); {
		case err == nil:
			told += n
			messages++
		case strings.HasPrefix(m.Text, ":white_check_mark: ~*shop-web* (local): Deployment.") && m.Thread == "" && len(m.Updates) == 0:
			told++
			messages++
		}
	}
	return told, messages
}

// A divergence that was healed before its interval is told once, resolved.
func TestHealedBeforeItPersisted(t *testing.T) {
	r := newRig(t)
	r.start()
	shop := r.app("shop-web")
	shop.commit("a")
	at, d := shop.divergence("web", time.Now())
	r.publish("auditor-local", at, &events.DivergenceDetected{Divergence: d})
	shop.resolved("web", false)
	told := r.told(shop.divergenceScope("web"), over)
	all := r.messages(1)
	if all[0].TS != told.Thread || all[0].Color != green || len(all[0].Updates) > 0 {
		t.Errorf("%+v", all[0])
	}
	contains(t, all[0].Text, ":white_check_mark: ~*shop-web* (local): Deployment.apps/shop/web differs from Git~ resolved after 3s: it was put back")
	shop.resolved("web", false) // and again
	r.told(shop.divergenceScope("web"), func(p *events.AlertDelivered) bool { return p.Event != told.Event })
	r.messages(2)
}

// More than a few within the window are one message.
func TestDigest(t *testing.T) {
	r := newRig(t)
	r.start()
	shop := r.app("shop-web")
	shop.commit("a")
	const many = 40
	for n := range many {
		shop.resolved(fmt.Sprintf("web-%d", n), false)
	}
	alerts := r.recorded(many)
	told, messages := r.briefly()
	if told != many || messages > many/2 || len(r.slack.Messages()) != messages {
		t.Errorf("%d told in %d messages:\n%s", told, messages, r.slack)
	}
	all := r.slack.Messages()
	contains(t, r.slack.String(), "divergences began and ended before they were told, in 1 application", "more: `plumbline events --type 'divergence.*'`")
	for _, e := range alerts {
		p := e.Data.(*events.AlertDelivered)
		n := slices.IndexFunc(all, func(m slackserver.Message) bool { return m.TS == p.Thread })
		if n < 0 || p.Digest != strings.Contains(all[n].Text, "began and ended") || !p.Resolved || p.Message != "" {
			t.Errorf("%+v", p)
		}
	}
}

// What waits for the digest is not lost when the notifier ends, and what was
// told is not told again.
func TestDigestOverARestart(t *testing.T) {
	r := newRig(t)
	r.timing.window = time.Hour
	stop := r.start()
	shop := r.app("shop-web")
	shop.commit("a")
	const many = 12
	for n := range many {
		shop.resolved(fmt.Sprintf("web-%d", n), false)
	}
	r.recorded(quick.few)
	r.bus.Idle(t, "notifier")
	stop()
	r.timing.window, r.timing.few = quick.window, 0
	r.start()
	r.recorded(many)
	if told, messages := r.briefly(); told != many || messages > 2*quick.few {
		t.Errorf("%d told in %d messages:\n%s", told, messages, r.slack)
	}
}

// After an outage the latest of each incident is told: what opened and closed
// meanwhile goes to the digest, what is open has a thread, and what was open
// and is over has its reply.
func TestBacklogAfterAnOutage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	shop := r.app("shop-web")
	shop.commit("a")
	shop.renderFailed("before")
	before := r.told(shop.scope(incident.Render), open)
	r.slack.Down(slackserver.Status(500))
	shop.failed("meanwhile, the first")
	const many = 60
	for n := range many {
		shop.persisted(fmt.Sprintf("web-%d", n))
		shop.resolved(fmt.Sprintf("web-%d", n), true)
	}
	shop.persisted("left")
	shop.commit("b")
	shop.failed("meanwhile, the second")
	shop.rendered()
	r.noticesTheOutage()
	tries := len(r.slack.Calls())
	bustest.Eventually(t, "a try that began after all of that", func() bool { return len(r.slack.Calls()) >= tries+2 })
	if len(r.slack.Messages()) != 1 {
		t.Fatalf("told in an outage:\n%s", r.slack)
	}
	r.slack.Up()
	r.told(shop.scope(incident.Render), over)
	r.told(shop.scope(incident.Convergence), open)
	r.told(shop.divergenceScope("left"), open)
	r.recorded(1 + 1 + 1 + many + 1)
	bustest.Eventually(t, "ready again", func() bool { return r.health.Ready() == nil })
	all, text := r.slack.Messages(), r.slack.String()
	if told, messages := r.briefly(); told != many || messages > many/2 || len(all) != 1+1+1+1+messages {
		t.Errorf("%d told in %d of %d messages:\n%s", told, messages, len(all), text)
	}
	contains(t, text, "meanwhile, the second", "divergences began and ended")
	if strings.Contains(text, "meanwhile, the first") {
		t.Errorf("what is no longer so is told:\n%s", text)
	}
	if all[0].TS != before.Thread || all[0].Color != green {
		t.Errorf("what is over is not marked:\n%s", text)
	}
}
