// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/docs/playbooks"
	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/incident"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// quick is what tests have time for.
var quick = timing{
	pace: 30 * time.Millisecond, settle: 10 * time.Millisecond, window: time.Second, few: 3,
	resync: 10 * time.Minute, token: 50 * time.Millisecond, request: 5 * time.Second, again: 50 * time.Millisecond,
}

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// rig is a bus, a Slack, and whoever publishes what the notifier reads.
type rig struct {
	t      testing.TB
	bus    *bustest.Server
	slack  *slackserver.Server
	cfg    Config
	timing timing
	health *process.Health
	conns  map[string]*bus.Conn
	count  int
	cancel func() // tells the notifier to end
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, bus: bustest.Start(t), timing: quick, conns: map[string]*bus.Conn{}}
	r.slack = listen(t, slackserver.Options{Rate: 25 * time.Millisecond})
	r.cfg = configFor(t, r.bus, r.slack)
	return r
}

func listen(t testing.TB, o slackserver.Options) *slackserver.Server {
	t.Helper()
	s, err := slackserver.Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func configFor(t testing.TB, b *bustest.Server, s *slackserver.Server) Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(slackserver.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Channel: "#ops", TokenFile: file, URL: s.URL(), Playbooks: playbooks.DefaultBase}
	if b != nil {
		cfg.Bus = b.Config("notifier")
	}
	return cfg
}

// start runs a notifier until stop, or the test's end.
func (r *rig) start() (stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r.health, r.cancel = &process.Health{}, cancel
	done := make(chan error, 1)
	env := process.Env{Name: "notifier", Version: "test", Log: bustest.Log(r.t), Health: r.health}
	cfg, err := r.cfg.withDefaults()
	if err != nil {
		r.t.Fatal(err)
	}
	go func() { done <- run(ctx, env, cfg, r.timing) }()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("the notifier: %v", err)
		}
	}
	r.t.Cleanup(stop)
	return stop
}

// conn is the connection of a user.
func (r *rig) conn(user string) *bus.Conn {
	r.t.Helper()
	c := r.conns[user]
	if c == nil {
		c = r.bus.Connect(r.t, user)
		r.conns[user] = c
	}
	return c
}

// publish publishes as the user that may.
func (r *rig) publish(user string, a events.Address, p events.Payload) events.Event {
	r.t.Helper()
	return r.publishOf(user, events.Draft{Data: p, Address: a})
}

func (r *rig) publishOf(user string, d events.Draft) events.Event {
	r.t.Helper()
	r.count++
	cause := events.Cause{ID: fmt.Sprintf("test/%d", r.count), Traceparent: trace, Correlation: d.Address.Application + "@c"}
	all, err := r.conn(user).Publish(r.t.Context(), cause, d)
	if err != nil {
		r.t.Fatalf("publish %T: %v", d.Data, err)
	}
	return all[0]
}

// declared publishes the fleet's list of cluster local.
func (r *rig) declared(applications ...string) {
	r.t.Helper()
	r.listed(events.FleetObserved{Commit: strings.Join(applications, "+")}, applications...)
}

// listed publishes a list of cluster local with this body.
func (r *rig) listed(list events.FleetObserved, applications ...string) {
	r.t.Helper()
	entries := []events.FleetEntry{}
	for _, name := range applications {
		entries = append(entries, events.FleetEntry{Application: name})
	}
	body, err := json.Marshal(entries)
	if err != nil {
		r.t.Fatal(err)
	}
	c := r.conn("watcher")
	list.Count = len(entries)
	if list.List, err = c.Blobs().Put(r.t.Context(), blob.Root+".watcher.fleet.local", body); err != nil {
		r.t.Fatal(err)
	}
	r.publish("watcher", events.Address{Cluster: "local"}, &list)
}

// app is an application whose pipeline a test plays.
type app struct {
	*rig
	name     string
	cluster  string
	revision events.Revision
	order    events.Order
}

func (r *rig) app(name string) *app {
	return &app{rig: r, name: name, cluster: "local", revision: revisionOf("a")}
}

func revisionOf(letter string) events.Revision {
	return events.Revision{
		Commit: strings.Repeat(letter, 40), Tree: strings.Repeat("0", 40), Ref: "refs/heads/main", Title: "Change " + letter,
		Author: events.Person{Name: "Ann"}, Signature: events.Signature{Verdict: "unsigned"}, Cause: "commit", Trigger: "poll",
	}
}

func (a *app) at() events.Address { return events.Address{Cluster: a.cluster, Application: a.name} }

func (a *app) declaration() events.Declaration {
	return events.Declaration{Application: a.name, Cluster: a.cluster, Source: events.SourceSpec{Repository: "shop", Path: "."}, Deletion: events.DeletionDelete, Converge: events.Convergence{Mode: events.ModeAuto}}
}

// commit goes on to another revision.
func (a *app) commit(letter string) events.Event {
	a.t.Helper()
	a.revision = revisionOf(letter)
	e := a.publish("watcher", a.at(), &events.CommitObserved{Revision: a.revision, Declaration: a.declaration()})
	a.order = events.Order{Epoch: e.Epoch, Sequence: e.Sequence}
	return e
}

func (a *app) say(user string, p events.Payload) events.Event {
	a.t.Helper()
	return a.publishOf(user, events.Draft{Data: p, Address: a.at(), Revision: a.order})
}

func (a *app) converging() events.Converging {
	return events.Converging{Revision: a.revision, Cause: "revision"}
}

func (a *app) renderFailed(message string) events.Event {
	a.t.Helper()
	return a.say("renderer", &events.RenderFailed{Revision: a.revision, Declaration: a.declaration(), Reason: events.ReasonSyntax, Message: message, File: "deploy/web.yaml", Line: 7})
}

func (a *app) rendered() events.Event {
	a.t.Helper()
	return a.say("renderer", &events.ManifestsRendered{Manifests: events.Manifests{Revision: a.revision, Declaration: a.declaration()}})
}

func (a *app) failed(message string) events.Event {
	a.t.Helper()
	return a.say("applier-local", &events.ConvergenceFailed{
		Converging: a.converging(), Reason: events.ReasonRefused, Message: message, Failed: 1,
		Failures: []events.ObjectFailure{{Object: events.Object{Version: "v1", Kind: "Service", Namespace: "shop", Name: "web"}, Message: "no such port", File: "deploy/web.yaml", Line: 3}},
	})
}

func (a *app) completed() events.Event {
	a.t.Helper()
	return a.say("applier-local", &events.ConvergenceCompleted{Converging: a.converging()})
}

func (a *app) divergence(name string, since time.Time) (events.Address, events.Divergence) {
	o := events.Object{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: name}
	at := a.at()
	at.Key = fmt.Sprintf("%x", a.name+"/"+name)
	return at, events.Divergence{
		Key: at.Key, Kind: events.DivergenceChanged, Object: &o, Since: since, Revision: a.revision,
		Fields: []events.FieldDifference{{Path: "/spec/replicas", Desired: "2", Live: "5"}}, FieldCount: 1,
		Writer: &events.Writer{Manager: "kubectl-edit", Operation: "Update", Time: since}, File: "deploy/web.yaml", Line: 12,
		Declared: events.Change{Commit: strings.Repeat("b", 40), Author: "Bea"}, Message: "Deployment.apps/shop/" + name + " was changed",
	}
}

func (a *app) persisted(name string) events.Event {
	a.t.Helper()
	at, d := a.divergence(name, time.Now().Add(-2*time.Minute))
	return a.publish("auditor-local", at, &events.DivergencePersisted{Divergence: d, After: events.Duration(2 * time.Minute)})
}

func (a *app) resolved(name string, persisted bool) events.Event {
	a.t.Helper()
	at, d := a.divergence(name, time.Now().Add(-3*time.Second))
	return a.publish("auditor-local", at, &events.DivergenceResolved{Divergence: d, After: events.Duration(3 * time.Second), How: "healed", Persisted: persisted})
}

// scope is that of the application's incident of a kind.
func (a *app) scope(kind incident.Kind) incident.Scope {
	return incident.Scope{Kind: kind, Address: a.at()}
}

// alerts are the alert.delivered and alert.failed of a scope, in order.
func (r *rig) alerts(s incident.Scope) []events.Event {
	r.t.Helper()
	at := s.Alert()
	var all []events.Event
	for _, e := range r.bus.Events(r.t, "plumbline.v1.alert.>") {
		if e.Address == at {
			all = append(all, e)
		}
	}
	return all
}

// told waits until the last alert about a scope is what ok wants.
func (r *rig) told(s incident.Scope, ok func(p *events.AlertDelivered) bool) *events.AlertDelivered {
	r.t.Helper()
	var last *events.AlertDelivered
	bustest.Eventually(r.t, "an alert about "+string(s.Kind), func() bool {
		all := r.alerts(s)
		if len(all) == 0 {
			return false
		}
		last, _ = all[len(all)-1].Data.(*events.AlertDelivered)
		return last != nil && ok(last)
	})
	return last
}

func open(p *events.AlertDelivered) bool { return !p.Resolved }
func over(p *events.AlertDelivered) bool { return p.Resolved }

// messages waits until there are n messages.
func (r *rig) messages(n int) []slackserver.Message {
	r.t.Helper()
	bustest.Eventually(r.t, fmt.Sprintf("%d messages", n), func() bool { return len(r.slack.Messages()) >= n })
	all := r.slack.Messages()
	if len(all) != n {
		r.t.Fatalf("%d messages, want %d:\n%s", len(all), n, r.slack)
	}
	return all
}

// noticesTheOutage waits until the notifier says that it is not ready, and that
// it is for Slack: before it has begun it isn't ready either.
func (r *rig) noticesTheOutage() {
	r.t.Helper()
	bustest.Eventually(r.t, "the outage of Slack is noticed", func() bool {
		err := r.health.Ready()
		return err != nil && strings.Contains(err.Error(), "slack: ")
	})
}

// inLog is how many messages the log's alerts about the incidents of these
// kind and applications are: a digest is one, of several alerts.
func (r *rig) inLog(kind incident.Kind, apps ...*app) int {
	r.t.Helper()
	messages := map[string]bool{}
	for _, a := range apps {
		for _, e := range r.alerts(a.scope(kind)) {
			if p, ok := e.Data.(*events.AlertDelivered); ok {
				messages[p.Thread+" "+p.Message] = true
			}
		}
	}
	return len(messages)
}

// quiet waits until the notifier has nothing more to do, and reports how many
// messages there are. What a notifier finds when it begins is told behind what it
// has heard of meanwhile: behind one marker, and before a second.
func (r *rig) quiet() int {
	r.t.Helper()
	r.bus.Idle(r.t, "notifier")
	for range 2 {
		marker := r.app(fmt.Sprintf("marker-%d", r.count))
		marker.cluster = "far" // of which no list is published
		marker.commit("a")
		marker.renderFailed("marks the end of what was to be told")
		r.told(marker.scope(incident.Render), open)
	}
	n := 0
	for _, m := range r.slack.Messages() {
		if !strings.Contains(m.Text, "marker-") {
			n++
		}
	}
	return n
}

func contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("lacks %q:\n%s", part, text)
		}
	}
}
