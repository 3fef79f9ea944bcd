// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/internal/telemetry"
	"github.com/plumbline-dev/plumbline/test/freeport"
	"github.com/plumbline-dev/plumbline/test/otlpserver"
	"github.com/plumbline-dev/plumbline/test/rig"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// A commit is one trace, over all processes: every stage of it is there, no
// span's parent is missing, each service has its own name. A hand edit is a
// trace of its own, linked to the commit that it breaks, and its heal is in it.
func TestOneTraceACommit(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(strings.ReplaceAll(protocol, "/", "-"), func(t *testing.T) { oneTraceACommit(t, protocol) })
	}
}

func oneTraceACommit(t *testing.T, protocol string) {
	otlp := receiver(t)
	s := stage(t, "traced", append(otlp.Env(protocol), "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test")...)
	all := append(slices.Clone(rig.Services), "notifier")
	processes := map[string]*rig.Process{"notifier": s.notifier(append(otlp.Env(protocol), "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test"))}
	for _, name := range rig.Services {
		processes[name] = s.Process(name)
	}
	for _, p := range processes {
		p.Args = append(slices.Clone(p.Args), "--log-level", "debug")
	}
	scrapes := s.scraped(processes)
	if err := s.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := processes["notifier"].Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = processes["notifier"].Stop() }) // it ends below, unless the test fails
	s.commit(configMaps(3, "0"))
	s.declare()
	s.settled()

	mark := s.Bus.Mark()
	commit := s.commit(map[string]string{"deploy/item-0.yaml": configMap("item-0", "1")})
	done := s.converged(mark, commit)
	id := traceID(done.Traceparent)
	for _, e := range s.Bus.Since(mark) {
		if e.Application == s.app && e.Sequence == done.Sequence && traceID(e.Traceparent) != id {
			t.Errorf("%s is in trace %s, the commit's is %s", e.Type.Name(), traceID(e.Traceparent), id)
		}
	}
	s.shows(otlp, id,
		"watcher: commit", "watcher: git fetch", "watcher: source pack", "watcher: source put", "watcher: publish commit.observed",
		"renderer: handle commit.observed", "renderer: source get", "renderer: render", "renderer: bundle put", "renderer: publish manifests.rendered", "renderer: ack renderer",
		"applier: handle manifests.rendered", "applier: plan", "applier: inventory write", "applier: apply", "applier: apply ConfigMap/item-0",
		"applier: publish convergence.applied", "applier: wait for health", "applier: publish convergence.completed", "applier: ack applier-local",
		"auditor: handle manifests.rendered", "auditor: handle convergence.completed", "auditor: audit compare")
	spans := otlp.Of(id)
	for _, span := range spans {
		if strings.HasPrefix(span.Name, "apply ConfigMap") && (span.Attributes["plumbline.op"] != "update" || span.Attributes["plumbline.requests"] != "1" ||
			span.Attributes["k8s.namespace.name"] != s.namespace || span.Attributes["plumbline.action"] != "configured") {
			t.Errorf("the span of an object: %v", span.Attributes)
		}
		// The request may end after what it asked for, and be sent later.
		if span.Name == "commit" && otlp.Wait(s.ctx(), func() bool { return linksTo(otlp, span, "POST /webhook/{repository}") }) != nil {
			t.Errorf("the commit is not linked to the webhook: %+v", span.Links)
		}
	}

	mark = s.Bus.Mark()
	if err := s.Kube.Edit(s.ctx(), rig.ConfigMaps, s.namespace, "item-0", `{"data":{"v":"hand-made-canary"}}`, "kubectl-edit"); err != nil {
		t.Fatal(err)
	}
	detected := s.await(mark, "divergence.detected", rig.Of("divergence.detected", s.app))
	resolved := s.await(mark, "divergence.resolved", rig.Of("divergence.resolved", s.app))
	broken := traceID(detected.Traceparent)
	if broken == id || traceID(resolved.Traceparent) != broken {
		t.Errorf("the divergence is detected in trace %s and resolved in %s; the commit's is %s", broken, traceID(resolved.Traceparent), id)
	}
	s.shows(otlp, broken, "auditor: divergence", "auditor: publish divergence.detected", "applier: handle divergence.detected",
		"applier: apply ConfigMap/item-0", "applier: publish convergence.applied", "auditor: publish divergence.resolved", "notifier: handle divergence.resolved",
		"notifier: slack thread", "notifier: publish alert.delivered")
	for _, span := range otlp.Of(broken) {
		if span.Name == "divergence" && !slices.ContainsFunc(span.Links, func(l otlpserver.Link) bool { return l.Trace == id }) {
			t.Errorf("the divergence is not linked to the commit that it breaks: %+v", span.Links)
		}
	}
	s.waterfalls(otlp, id, broken)
	s.linesOf(processes, id, "watcher", "renderer", "applier")
	s.linesOf(processes, broken, "auditor", "applier", "notifier")
	s.measured(otlp, scrapes)
	for _, service := range all { // what is left is sent
		if err := processes[service].Stop(); err != nil {
			t.Error(err)
		}
	}
	s.whole(otlp)
}

func receiver(t *testing.T) *otlpserver.Server {
	t.Helper()
	otlp, err := otlpserver.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := otlp.Close(); err != nil {
			t.Error(err)
		}
	})
	return otlp
}

// shows waits until a trace has every span of want, by service and name.
func (s *scene) shows(otlp *otlpserver.Server, trace string, want ...string) {
	s.t.Helper()
	missing := func() []string {
		have := map[string]bool{}
		for _, span := range otlp.Of(trace) {
			name := strings.TrimPrefix(span.Service, "plumbline-") + ": " + span.Name
			have[name] = true
			have[name+"/"+span.Attributes["plumbline.object.name"]] = true
		}
		return slices.DeleteFunc(slices.Clone(want), func(name string) bool { return have[name] })
	}
	if err := otlp.Wait(s.ctx(), func() bool { return len(missing()) == 0 }); err != nil {
		var b bytes.Buffer
		_ = otlpserver.Waterfall(&b, otlp.Of(trace)) // to memory
		s.t.Fatalf("spans that are missing: %q; there are:\n%s", missing(), &b)
	}
}

func linksTo(otlp *otlpserver.Server, span otlpserver.Span, name string) bool {
	return slices.ContainsFunc(otlp.Spans(), func(to otlpserver.Span) bool {
		return to.Name == name && slices.Contains(span.Links, otlpserver.Link{Trace: to.Trace, ID: to.ID})
	})
}

// whole checks that no span is an orphan, that no identity was sent twice, that
// no service is without a name and that no value of an object is in any.
func (s *scene) whole(otlp *otlpserver.Server) {
	s.t.Helper()
	for _, span := range otlp.Orphans() {
		s.t.Errorf("an orphan: %s of %s, its parent %s never came", span.Name, span.Service, span.Parent)
	}
	seen := map[otlpserver.Link]string{}
	for _, span := range otlp.Spans() {
		id := otlpserver.Link{Trace: span.Trace, ID: span.ID}
		if other, twice := seen[id]; twice {
			s.t.Errorf("%s and %s are one span", other, span.Name)
		}
		seen[id] = span.Name
		if !strings.HasPrefix(span.Service, "plumbline-") {
			s.t.Errorf("%s is of service %q", span.Name, span.Service)
		}
		if strings.Contains(fmt.Sprint(span), "canary") {
			s.t.Errorf("a value is in a span: %v", span)
		}
	}
	s.t.Logf("%d spans", len(seen))
}

func (s *scene) waterfalls(otlp *otlpserver.Server, traces ...string) {
	s.t.Helper()
	for _, trace := range traces {
		var b bytes.Buffer
		if err := otlpserver.Waterfall(&b, otlp.Of(trace)); err != nil {
			s.t.Fatal(err)
		}
		s.t.Logf("\n%s", &b)
	}
}

// linesOf checks that every line about the application, of every service, has a
// trace, and waits until these services have lines of the trace id: what is
// published is there for all before it is logged.
func (s *scene) linesOf(processes map[string]*rig.Process, id string, services ...string) {
	s.t.Helper()
	for service, p := range processes {
		if !slices.Contains(services, service) {
			s.lines(p, id)
			continue
		}
		if err := rig.Until(s.ctx(), func(context.Context) (bool, error) { return s.lines(p, id) > 0, nil }); err != nil {
			s.t.Errorf("no line of the %s has the trace %s", service, id)
		}
	}
}

// lines checks that every line of a process about the application has a trace,
// and counts those of the trace id. The last one may be half written.
func (s *scene) lines(p *rig.Process, id string) (of int) {
	s.t.Helper()
	text, err := os.ReadFile(p.Log())
	if err != nil {
		s.t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		if !strings.HasSuffix(l, "\n") || !strings.Contains(l, "application="+s.app+" ") {
			continue
		}
		if !strings.Contains(l, "trace_id=") {
			s.t.Errorf("a line without its trace: %s", l)
		}
		if strings.Contains(l, "trace_id="+id) {
			of++
		}
	}
	return of
}

// notifier is the fifth process, with a Slack to speak to.
func (s *scene) notifier(env []string) *rig.Process {
	s.t.Helper()
	slack, err := slackserver.Listen(slackserver.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = slack.Close() }) // nothing hangs on it
	token := filepath.Join(s.Dir, "slack-token")
	if err := os.WriteFile(token, []byte(slackserver.Token), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return &rig.Process{
		Name: "notifier", Path: filepath.Join(programs, "notifier"), Dir: filepath.Join(s.Dir, "log"), Env: env,
		Args: []string{"--nats-url", s.URL, "--nats-creds", s.Creds("notifier"), "--slack-channel", "ops", "--slack-token-file", token, "--slack-url", slack.URL()},
	}
}

// scraped gives every service a health listener, and returns where.
func (s *scene) scraped(processes map[string]*rig.Process) map[string]string {
	s.t.Helper()
	where := map[string]string{}
	for service, p := range processes {
		where[service] = freeport.Address(s.t)
		p.Args = append(slices.Clone(p.Args), "--health-listen", where[service])
	}
	return where
}

// measured checks that the table of metrics is what a scrape shows and what is
// sent, for each service.
func (s *scene) measured(otlp *otlpserver.Server, scrapes map[string]string) {
	s.t.Helper()
	shown := map[string]bool{}
	for service, address := range scrapes {
		for _, path := range []string{"/healthz", "/readyz"} {
			if status, body := s.get(address, path); status != http.StatusOK {
				s.t.Errorf("%s of %s: %d %s", path, service, status, body)
			}
		}
		_, body := s.get(address, "/metrics")
		for _, l := range strings.Split(body, "\n") {
			name, ok := strings.CutPrefix(l, "# TYPE plumbline_")
			if !ok {
				continue
			}
			name, _, _ = strings.Cut("plumbline_"+name, " ")
			shown[name] = true
			i := slices.IndexFunc(telemetry.Table, func(i telemetry.Instrument) bool { return i.Prometheus() == name })
			switch {
			case i < 0:
				s.t.Errorf("%s shows %s, which is not in the table", service, name)
			case !slices.Contains(telemetry.Table[i].From, service):
				s.t.Errorf("%s shows %s, which the table has of %q", service, name, telemetry.Table[i].From)
			}
			if !strings.Contains(body, `service_name="plumbline-`+service+`"`) {
				s.t.Errorf("what %s shows doesn't say so", service)
			}
		}
	}
	rare := []string{"plumbline_bus_redeliveries_total", "plumbline_bus_quarantined_total", "plumbline_bus_outages_total", "plumbline_notifier_delayed_total", "plumbline_notifier_failed_total"}
	for _, i := range telemetry.Table {
		if !shown[i.Prometheus()] && !slices.Contains(rare, i.Prometheus()) {
			s.t.Errorf("no service shows %s", i.Prometheus())
		}
	}
	if err := otlp.Wait(s.ctx(), func() bool { return slices.Contains(otlp.Metrics(), "plumbline.commit.to_converged") }); err != nil {
		s.t.Errorf("the time from commit to converged was not sent; what was: %q", otlp.Metrics())
	}
}

func (s *scene) get(address, path string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.ctx(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func traceID(traceparent string) string {
	_, rest, _ := strings.Cut(traceparent, "-")
	id, _, _ := strings.Cut(rest, "-")
	return id
}

// Without an exporter the ids are there all the same, and one commit's are one.
func TestTraceIDsWithoutAnExporter(t *testing.T) {
	s := play(t, "untraced", one("0"))
	s.settled()
	mark := s.Bus.Mark()
	done := s.converged(mark, s.commit(one("1")))
	id := traceID(done.Traceparent)
	if len(id) != 32 || id == strings.Repeat("0", 32) {
		t.Fatalf("trace id %q of %s", id, done.Traceparent)
	}
	for _, e := range s.Bus.Since(mark) {
		if e.Sequence == done.Sequence && traceID(e.Traceparent) != id {
			t.Errorf("%s is in trace %s, the commit's is %s", e.Type.Name(), traceID(e.Traceparent), id)
		}
	}
	processes := map[string]*rig.Process{}
	for _, name := range rig.Services {
		processes[name] = s.Process(name)
	}
	s.linesOf(processes, id, "watcher", "renderer", "applier")
}

// A collector that hangs, or refuses, costs spans and nothing else: commits
// converge as quickly, and each service says it once.
func TestTheCollectorIsAway(t *testing.T) {
	for name, mood := range map[string]otlpserver.Mood{"hangs": otlpserver.Hangs, "refuses": otlpserver.Refuses} {
		t.Run(name, func(t *testing.T) {
			otlp := receiver(t)
			otlp.Be(mood)
			env := append(otlp.Env("http/protobuf"), "OTEL_EXPORTER_OTLP_TIMEOUT=1000", "OTEL_BSP_MAX_QUEUE_SIZE=16", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=8", "OTEL_BSP_EXPORT_TIMEOUT=1000")
			s := stage(t, "away", env...)
			if err := s.Up(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.commit(configMaps(20, "0"))
			s.declare()
			s.settled()
			for i := range 3 {
				mark := s.Bus.Mark()
				from := time.Now()
				s.converged(mark, s.commit(configMaps(20, fmt.Sprint(i+1))))
				t.Logf("commit to converged: %s", time.Since(from))
			}
			said := func(service string) int {
				text, err := os.ReadFile(s.Process(service).Log())
				if err != nil {
					t.Fatal(err)
				}
				return strings.Count(string(text), "signal=traces")
			}
			for _, service := range rig.Services {
				if err := rig.Until(s.ctx(), func(context.Context) (bool, error) { return said(service) > 0, nil }); err != nil {
					t.Errorf("%s doesn't say that the collector is away", service)
				}
				from := time.Now()
				if err := s.Stop(service); err != nil {
					t.Error(err)
				}
				if took := time.Since(from); took > 10*time.Second {
					t.Errorf("%s took %s to stop", service, took)
				}
				if n := said(service); n != 1 {
					t.Errorf("%s says %d times that the collector is away, want once", service, n)
				}
			}
			if otlp.Asked() == 0 || len(otlp.Spans()) > 0 {
				t.Errorf("the receiver was asked %d times and has %d spans", otlp.Asked(), len(otlp.Spans()))
			}
		})
	}
}

// A watcher and an applier that are killed before they have sent their spans
// leave no span without the one above it: the next watcher sends the first one
// of the commit again.
func TestNoOrphanAfterAKill(t *testing.T) {
	otlp := receiver(t)
	s := stage(t, "killed", append(otlp.Env("http/protobuf"), "OTEL_BSP_SCHEDULE_DELAY=3000")...)
	if err := s.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.commit(one("0"))
	s.declare()
	s.settled()
	sent := func() bool { return len(otlp.Spans()) > 0 && len(otlp.Orphans()) == 0 }
	if err := otlp.Wait(s.ctx(), sent); err != nil {
		t.Fatal(err)
	}
	mark := s.Bus.Mark()
	commit := s.commit(one("1"))
	observed := s.await(mark, "commit.observed", rig.Of("commit.observed", s.app))
	if err := s.Kill("watcher"); err != nil {
		t.Fatal(err)
	}
	s.converged(mark, commit)
	if err := s.Kill("applier"); err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"watcher", "applier"} {
		if err := s.Start(service); err != nil {
			t.Fatal(err)
		}
	}
	s.shows(otlp, traceID(observed.Traceparent), "watcher: commit", "renderer: render")
	for _, service := range rig.Services {
		if err := s.Stop(service); err != nil {
			t.Error(err)
		}
	}
	s.whole(otlp)
}
