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

// TestDay plays a bad day at Slack's own pace, with a notifier in a process of
// its own: 300 divergences at once, nearly all of them healed; Slack answers
// 429, 500 and HTML; the notifier is killed right after Slack has taken a
// message, and started again. Slack gets at most one message a second, each
// incident has one thread, in the order in which they began, and one message is
// there twice.
func TestDay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const rate = time.Second
	r.slack = listen(t, slackserver.Options{Rate: rate})
	r.cfg = configFor(t, r.bus, r.slack)
	kill := r.spawn("day")

	shop := r.app("shop-web")
	shop.commit("a")
	shop.renderFailed("mapping values are not allowed here")
	r.told(shop.scope(incident.Render), open)
	const many, lasting = 300, 4
	for n := range many {
		name := fmt.Sprintf("web-%d", n)
		if n%(many/lasting) == 7 {
			shop.persisted(name)
		} else {
			shop.resolved(name, false)
		}
	}
	wait := r.slack.Calls()
	r.slack.Next(slackserver.TooMany(3 * time.Second))
	bustest.Eventually(t, "Slack has asked to wait", func() bool {
		return slices.ContainsFunc(r.slack.Calls()[len(wait):], func(c slackserver.Call) bool { return c.Answer == "429" })
	})
	r.slack.Next(slackserver.Status(500), slackserver.HTML(), slackserver.Status(500))

	hung := make(chan slackserver.Message, 1)
	bustest.Eventually(t, "some are told", func() bool { return len(r.slack.Messages()) >= 3 })
	r.slack.Stored(func(m slackserver.Message) { hung <- m; select {} })
	doubled := <-hung
	kill()
	r.slack.Stored(nil)
	shop.commit("b")
	shop.rendered()
	r.spawn("day")
	r.told(shop.scope(incident.Render), over)
	for n := range many {
		if n%(many/lasting) == 7 {
			r.told(shop.divergenceScope(fmt.Sprintf("web-%d", n)), open)
			shop.resolved(fmt.Sprintf("web-%d", n), true)
		}
	}
	for n := range many {
		if n%(many/lasting) == 7 {
			r.told(shop.divergenceScope(fmt.Sprintf("web-%d", n)), over)
		}
	}
	delivered := map[string]bool{}
	bustest.Eventually(t, "all are told", func() bool {
		for _, e := range r.bus.Events(t, "plumbline.v1.alert.delivered.>") {
			delivered[e.Key] = true
		}
		return len(delivered) == many+1
	})
	r.checkPace(rate)
	r.checkThreads(doubled, 1+lasting)
	t.Logf("%d incidents, %d calls, %d messages in %d threads:\n%s", many+1, len(r.slack.Calls()), len(r.slack.Messages()), len(r.slack.Threads()), r.slack)
}

// checkPace looks at when the messages came: Slack bounds them alone, and not the
// question whether it is there.
func (r *rig) checkPace(rate time.Duration) {
	r.t.Helper()
	calls := r.slack.Calls()
	answers := map[string]int{}
	for _, c := range calls {
		answers[c.Answer]++
	}
	calls = slices.DeleteFunc(calls, func(c slackserver.Call) bool { return c.Method == "auth.test" })
	for n, c := range calls {
		if n == 0 {
			continue
		}
		gap := c.Time.Sub(calls[n-1].Time)
		if gap < rate {
			r.t.Errorf("call %d comes %s after the one before", n, gap)
		}
		if calls[n-1].Answer == "429" && gap < 3*time.Second {
			r.t.Errorf("Retry-After is not obeyed: %s", gap)
		}
	}
	if answers["429"] != 1 || answers["500"] != 2 || answers["html"] != 1 || len(answers) != 4 {
		r.t.Errorf("Slack's answers: %v", answers)
	}
}

// checkThreads looks at what is told, and how often.
func (r *rig) checkThreads(doubled slackserver.Message, lasting int) {
	r.t.Helper()
	count := map[string]int{}
	digested, replies := 0, 0
	var order []time.Time
	for _, thread := range r.slack.Threads() {
		first := thread[0]
		order = append(order, first.Time)
		text := first.Text
		if len(first.Before) > 0 {
			text = first.Before[0]
		}
		var n int
		if _, err := fmt.Sscanf(text, ":white_check_mark: *%d divergences*", &n); err == nil {
			digested += n
			continue
		}
		count[text]++
		replies += len(thread) - 1
		for i, m := range thread[1:] {
			if m.Time.Before(thread[i].Time) {
				r.t.Errorf("a reply before its message: %+v", thread)
			}
		}
	}
	twice := 0
	for text, n := range count {
		twice += n - 1
		if n > 1 && !strings.Contains(doubled.Text, text) {
			r.t.Errorf("%d times: %s", n, text)
		}
	}
	if twice > 1 || digested+len(count) != 301 || replies < lasting || replies > lasting+1 || !slices.IsSortedFunc(order, time.Time.Compare) {
		r.t.Errorf("%d told twice; %d in digests and %d alone, want 301; %d replies", twice, digested, len(count), replies)
	}
	var last uint64
	for _, e := range r.bus.Events(r.t, "plumbline.v1.alert.delivered.>") {
		p := e.Data.(*events.AlertDelivered)
		if p.Resolved || p.Message != "" {
			continue
		}
		if p.Place < last {
			r.t.Errorf("%s is told after what began later", p.Event)
		}
		last = p.Place
	}
}
