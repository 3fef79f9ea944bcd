// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/incident"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

const childEnv = "NOTIFIER_TEST_CHILD"

// child is what a child process is to do.
type child struct {
	Config Config
	Timing string
}

// day is the pace that Slack asks for, with a window that a test has time for.
var day = timing{
	pace: defaultTiming.pace, settle: defaultTiming.settle, window: 6 * time.Second, few: defaultTiming.few,
	resync: 10 * time.Minute, token: time.Second, request: 5 * time.Second,
}

var timings = map[string]timing{"quick": quick, "day": day}

// TestMain lets the test's own binary be the notifier that is killed.
func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		fmt.Fprintln(os.Stderr, runChild(text))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func runChild(text string) error {
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	cfg, err := c.Config.withDefaults()
	if err != nil {
		return err
	}
	env := process.Env{Name: "notifier", Version: "test", Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Health: &process.Health{}}
	return run(context.Background(), env, cfg, timings[c.Timing])
}

// spawn runs a notifier in a process of its own. Kill kills it as kill -9 does
// and waits until it is gone.
func (r *rig) spawn(timing string) (kill func()) {
	r.t.Helper()
	text, err := json.Marshal(child{r.cfg, timing})
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$") //nolint:gosec // the test's own binary
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stderr = r.t.Output()
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() //nolint:errcheck // it was killed
		})
	}
	r.t.Cleanup(kill)
	return kill
}

// Killed between Slack's answer and the event about it, the notifier tells that
// one message once more, and no other.
func TestKilledAfterSlackTookIt(t *testing.T) {
	r := newRig(t)
	shop := r.app("shop-web")
	shop.commit("a")
	shop.renderFailed("no")
	r.slack.Stored(func(slackserver.Message) { select {} })
	kill := r.spawn("quick")
	bustest.Eventually(t, "Slack has it", func() bool { return len(r.slack.Messages()) == 1 })
	kill()
	r.slack.Stored(nil)
	if n := len(r.alerts(shop.scope(incident.Render))); n != 0 {
		t.Fatalf("%d alerts are in the log already", n)
	}
	kill = r.spawn("quick")
	r.told(shop.scope(incident.Render), open)
	if n := r.quiet(); n != 2 {
		t.Errorf("%d messages, want the one and its duplicate:\n%s", n, r.slack)
	}
	kill()
	r.spawn("quick")
	if n := r.quiet(); n != 2 {
		t.Errorf("%d messages after another restart:\n%s", n, r.slack)
	}
}

// Killed at any time, it tells everything, and no more than one message twice
// for each time that it was killed.
func TestKilledAtAnyTime(t *testing.T) {
	r := newRig(t)
	random := rand.New(rand.NewPCG(1, 2))
	var apps []*app
	for n := range 8 {
		a := r.app(fmt.Sprintf("app-%d", n))
		a.commit("a")
		apps = append(apps, a)
	}
	const kills = 6
	var begun []*app // and does not end
	for n := range kills {
		kill := r.spawn("quick")
		before := len(r.slack.Calls())
		for _, a := range apps {
			if n%2 == 0 {
				a.renderFailed(fmt.Sprint("no ", n))
			} else {
				a.commit("b")
				a.rendered()
			}
		}
		// A kill a few calls on, at a moment that nothing chooses. What began and
		// ended unheard is told more briefly, in fewer: one more began.
		begins := r.app(fmt.Sprintf("begins-%d", n))
		begins.commit("a")
		begins.renderFailed("no")
		calls := before + 1 + random.IntN(10)
		bustest.Eventually(t, "some calls", func() bool {
			return len(r.slack.Calls()) >= calls || len(r.alerts(begins.scope(incident.Render))) > 0
		})
		begun = append(begun, begins)
		kill()
	}
	r.start()
	for _, a := range apps {
		r.told(a.scope(incident.Render), over)
	}
	for _, a := range begun {
		r.told(a.scope(incident.Render), open)
	}
	inLog := r.inLog(incident.Render, slices.Concat(apps, begun)...)
	if extra := len(r.slack.Messages()) - inLog; extra < 0 || extra > kills {
		t.Errorf("%d messages, %d of them in the log, after %d kills:\n%s", len(r.slack.Messages()), inLog, kills, r.slack)
	}
}

// Told to end while Slack has a message in hand, it waits for the answer.
func TestStoppedBeforeSlacksAnswer(t *testing.T) {
	r := newRig(t)
	shop := r.app("shop-web")
	shop.commit("a")
	shop.renderFailed("no")
	taken, answer := make(chan struct{}), make(chan struct{})
	r.slack.Stored(func(slackserver.Message) { close(taken); <-answer })
	stop := r.start()
	<-taken
	r.slack.Stored(nil)
	r.cancel()
	close(answer)
	stop()
	if n := len(r.alerts(shop.scope(incident.Render))); n != 1 {
		t.Errorf("%d alerts are in the log", n)
	}
	r.start()
	if n := r.quiet(); n != 1 {
		t.Errorf("%d messages:\n%s", n, r.slack)
	}
}

// An orderly end tells nothing twice, and nothing is lost. In each life of the
// notifier one application begins to fail and the one before recovers, which may
// be before anybody was told of it: then that is told when it is over.
func TestStoppedAtAnyTime(t *testing.T) {
	r := newRig(t)
	var apps []*app
	for n := range 7 {
		stop := r.start()
		before := len(r.slack.Calls())
		if n > 0 {
			apps[n-1].commit("b")
			apps[n-1].rendered()
		}
		a := r.app(fmt.Sprintf("app-%d", n))
		a.commit("a")
		a.renderFailed("no")
		apps = append(apps, a)
		bustest.Eventually(t, "a call", func() bool { return len(r.slack.Calls()) > before })
		stop()
	}
	r.start()
	r.told(apps[6].scope(incident.Render), open)
	for _, a := range apps[:6] {
		r.told(a.scope(incident.Render), over)
	}
	if n, inLog := r.quiet(), r.inLog(incident.Render, apps...); n != inLog {
		t.Errorf("%d messages, %d of them in the log:\n%s", n, inLog, r.slack)
	}
}
