// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/failpoint"
	"github.com/plumbline-dev/plumbline/test/binaries"
	"github.com/plumbline-dev/plumbline/test/canary"
	"github.com/plumbline-dev/plumbline/test/rig"
)

const (
	seed     = 4
	patience = time.Minute
)

// set are the secrets, and behind them the texts of open: places are searched once
// for both, as taking everything out of its wrappings is what takes long.
var set = canary.New(seed, secrets+6)

// open are texts that are no secrets and stand where they are told: each place
// that is searched must show those that come there, or the search is blind.
var open = struct{ application, title, declared, live, attempt, environment string }{
	set.Value(secrets), set.Value(secrets + 1), set.Value(secrets + 2), set.Value(secrets + 3), set.Value(secrets + 4), set.Value(secrets + 5),
}

var kubeSecrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// TestNoSecretLeaves plants a thousand secrets wherever one belongs, has
// applications converge, fail, diverge, heal and alert, and searches everything
// outside the cluster for them, and for the keys of Plumbline itself: each may lie
// in its own file alone. Inside, and not searched, are the cluster and the
// watcher's mirrors, which are Git itself on the watcher's own disk.
func TestNoSecretLeaves(t *testing.T) {
	s := newScene(t)
	good, bad := s.good(), s.bad()
	s.commit(slices.Concat(good, bad))
	s.declare(slices.Concat(good, bad))
	s.guard()
	s.start()
	s.settle(good, bad)
	s.edit()
	s.attempt()
	s.breakDown()
	s.ask(slices.Concat(good, bad))
	s.panics()
	if s.next < least {
		t.Errorf("%d secrets are planted, want %d", s.next, least)
	}
	t.Log(s.plant)

	keys := ring(t, slices.Concat(s.keyFiles(), s.decoys))
	found := search(t, keys.set, s.places())
	for _, hits := range found {
		for _, h := range hits {
			if what := keys.strays(h); what != "" {
				t.Errorf("found %s: %s", what, h)
			}
		}
	}
	s.notBlind(found)
	keys.notBlind(t, found)
}

// settle waits until every application has come to what it comes to, and rings
// webhooks meanwhile.
func (s *scene) settle(good, bad []app) {
	s.t.Helper()
	s.knock()
	for _, a := range append(slices.Clone(good), app{name: "vault"}) {
		s.await(a.name+" converges", func(e rig.Seen) bool { return e.Application == a.name && e.Type.Name() == "convergence.completed" })
	}
	var taken []string
	for _, a := range bad {
		e := s.await(a.name+" fails, or is taken", func(e rig.Seen) bool {
			return e.Application == a.name && slices.Contains([]string{"render.failed", "convergence.failed", "convergence.completed"}, e.Type.Name())
		})
		if e.Type.Name() == "convergence.completed" {
			taken = append(taken, a.fault)
		}
	}
	if slices.Sort(taken); !slices.Equal(taken, accepted) {
		s.t.Errorf("of the applications with a fault these converge: %q, want %q", taken, accepted)
	}
	for _, name := range []string{"locked", "garbled", "unknown"} {
		s.await(name+" can't be read", func(e rig.Seen) bool { return e.Key == name && e.Type.Name() == "source.unreachable" })
	}
	s.await("a declaration is refused", func(e rig.Seen) bool { return e.Type.Name() == "fleet.rejected" })
}

func (s *scene) await(what string, match func(rig.Seen) bool) rig.Seen {
	s.t.Helper()
	e, err := s.Bus.Wait(s.ctx(), 0, match)
	if err != nil {
		s.t.Fatalf("not within %s: %s: %v", patience, what, err)
	}
	return e
}

// knock sends webhooks, signed and not, with secrets wherever hosts put them.
func (s *scene) knock() {
	s.t.Helper()
	secret, err := os.ReadFile(filepath.Join(s.Dir, "webhook-secrets", "vault"))
	if err != nil {
		s.t.Fatal(err)
	}
	body := s.fill("webhook: body", `{"ref":"refs/heads/main","token":"@@","url":"https://ada:@@@git.example.com"}`)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(body))
	post := func(path string, header map[string]string) {
		err := rig.Until(s.ctx(), func(ctx context.Context) (bool, error) {
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.webhook+path, strings.NewReader(body))
			if err != nil {
				return false, err
			}
			for name, value := range header {
				request.Header.Set(name, value)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return false, nil //nolint:nilerr // it doesn't listen yet
			}
			fmt.Fprintln(&s.kept, response.Status, response.Header)
			_, err = s.kept.ReadFrom(response.Body)
			return true, err
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	post("/webhook/vault", map[string]string{"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil)), "X-Token": s.secret("webhook: header"), "Baggage": "token=" + s.secret("webhook: header")})
	post("/webhook/vault?secret="+s.secret("webhook: query"), map[string]string{"X-Gitlab-Token": s.secret("webhook: header"), "Authorization": "Bearer " + s.secret("webhook: header")})
	post("/webhook/"+s.secret("webhook: path"), map[string]string{"X-Hub-Signature-256": "sha256=" + s.secret("webhook: header")})
}

// edit edits Secrets by hand, deletes some, and edits what is none.
func (s *scene) edit() {
	s.t.Helper()
	for i := range edited {
		for _, name := range []string{"plain", "watched"} {
			patch := s.fill("hand edit of a Secret", `{"stringData":{"a":"@@","new":"@@"},"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"stringData\":{\"a\":\"@@\"}}","example.com/note":"@@"}}}`)
			if err := s.Kube.Edit(s.ctx(), kubeSecrets, "canaries", fmt.Sprintf("%s-%d", name, i), patch, "kubectl-edit"); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	if err := s.Kube.Edit(s.ctx(), rig.ConfigMaps, "canaries", "seen", fmt.Sprintf(`{"data":{"v":%q}}`, open.live), "kubectl-edit"); err != nil {
		s.t.Fatal(err)
	}
	s.await("a hand edit is healed", func(e rig.Seen) bool { return e.Application == "plain" && e.Type.Name() == "divergence.resolved" })
	for i := range edited { // each is told of, by the name of the object
		name := fmt.Sprintf("watched-%d", i)
		s.await(name+" diverges for long", func(e rig.Seen) bool {
			d, ok := e.Data.(*events.DivergencePersisted)
			return ok && e.Application == "watched" && d.Object != nil && d.Object.Name == name
		})
	}
	err := rig.Until(s.ctx(), func(context.Context) (bool, error) { // one a second is told
		return len(s.messages.Messages()) >= 10 && bytes.Contains(s.slack.all(), []byte(open.title)), nil
	})
	if err != nil {
		s.t.Fatalf("Slack isn't told: %v\n%+v", err, s.messages.Messages())
	}
}

// ask has the command line print what it knows.
func (s *scene) ask(all []app) {
	s.t.Helper()
	commands := [][]string{{"status"}, {"status", "-o", "json"}, {"events", "-o", "json", "--since", "1h"}, {"events", "--since", "1h"}, {"dead-letters", "list", "--all"}, {"alerts", "--all"}, {"alerts", "--all", "-o", "json"}, {"doctor"}}
	for _, a := range all[:12] {
		commands = append(commands, []string{"status", a.name}, []string{"trace", a.name}, []string{"trace", a.name, "-o", "json"}, []string{"history", a.name}, []string{"diff", a.name, "--kubeconfig", s.Cluster.Kubeconfig()})
	}
	for _, name := range []string{"plain-0", "watched-0", "watched-1"} {
		commands = append(commands, []string{"why", "secret/" + name, "-n", "canaries", "--kubeconfig", s.Cluster.Kubeconfig()}, []string{"why", "secret/" + name, "/data/a", "-n", "canaries", "-o", "json", "--kubeconfig", s.Cluster.Kubeconfig()})
	}
	for _, c := range commands {
		out, _, err := s.Ask(s.ctx(), c...)
		if err != nil {
			s.t.Fatalf("plumbline %s: %v\n%s", strings.Join(c, " "), err, out)
		}
		if strings.Contains(out, "unknown") && strings.Contains(out, "flag") {
			s.t.Errorf("plumbline %s: %s", strings.Join(c, " "), out)
		}
		fmt.Fprintf(&s.kept, "%s\n%s\n", c, out)
	}
}

// attempt has the applier's user say something in the stream of attempts, where
// nothing that people write comes, and keys that open nothing.
func (s *scene) attempt() {
	s.t.Helper()
	body := fmt.Sprintf(`{"failures":0,"note":%q`, open.attempt)
	for i, f := range s.decoys {
		body += fmt.Sprintf(`,"key%d":%q`, i, f.text)
	}
	body += "}"
	if err := s.PublishAs(s.ctx(), "applier-local", "plumbline.attempts.applier-local.999999999", []byte(body)); err != nil {
		s.t.Fatal(err)
	}
}

// breakDown has the applier panic when it has just written a Secret, which it
// then holds: it says where, and goes on.
func (s *scene) breakDown() {
	s.t.Helper()
	dir, err := binaries.Build(s.t.Context(), binaries.Kind{Tags: "failpoints"})
	if err != nil {
		s.t.Fatal(err)
	}
	p := s.Process("applier")
	if err := p.Stop(); err != nil {
		s.t.Fatal(err)
	}
	p.Path = filepath.Join(dir, "applier")
	p.Arm(string(failpoint.ApplierAfterObject) + "=panic@1")
	mark := s.Bus.Mark()
	patch := s.fill("hand edit that is healed in a panic", `{"stringData":{"a":"@@"}}`)
	if err := s.Kube.Edit(s.ctx(), kubeSecrets, "canaries", "plain-0", patch, "kubectl-edit"); err != nil {
		s.t.Fatal(err)
	}
	// An applier that begins looks at everything, and might put it back unseen.
	if _, err := s.Bus.Wait(s.ctx(), mark, rig.Of("divergence.detected", "plain")); err != nil {
		s.t.Fatalf("the edit isn't found: %v", err)
	}
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.Bus.Wait(s.ctx(), mark, rig.Of("divergence.resolved", "plain")); err != nil { // it was written before
		s.t.Fatalf("after the panic the edit isn't healed: %v", err)
	}
	said := "a panic that a failpoint injected at " + string(failpoint.ApplierAfterObject)
	err = rig.Until(s.ctx(), func(context.Context) (bool, error) {
		log, err := os.ReadFile(p.Log())
		return bytes.Contains(log, []byte(said)) && bytes.Contains(log, []byte("services/applier/write.go")), err
	})
	if err != nil {
		s.t.Errorf("the applier doesn't say that and where it panicked (%v):\n%s", err, p.Tail(20))
	}
	if err := p.Stop(); err != nil {
		s.t.Errorf("the panic has ended the applier: %v", err)
	}
	p.Arm()
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// panics has every process say all that it says when it panics: where each of
// its goroutines is.
func (s *scene) panics() {
	s.t.Helper()
	for name, address := range s.health {
		if name != "nats" {
			metrics, err := scrape(s.ctx(), address)
			if err != nil {
				s.t.Errorf("%s: %v", name, err)
			}
			s.write(filepath.Join(s.Dir, "metrics", name), string(metrics))
		}
		line, err := commandLine(s.Process(name).PID())
		if err != nil {
			s.t.Error(err)
		}
		s.write(filepath.Join(s.Dir, "processes", name), string(line))
	}
	for _, name := range append([]string{rig.Notifier}, rig.Services...) {
		p := s.Process(name)
		if err := p.Signal(syscall.SIGQUIT); err != nil {
			s.t.Fatal(err)
		}
		select {
		case <-p.Exited():
		case <-time.After(patience):
			s.t.Fatalf("%s does not end", name)
		}
		if log, err := os.ReadFile(p.Log()); err != nil || !bytes.Contains(log, []byte("SIGQUIT: quit")) {
			s.t.Errorf("%s doesn't say where its goroutines are: %v", name, err)
		}
	}
}

// places are everything outside the cluster.
func (s *scene) places() []place {
	return []place{
		stream(s.t.Context(), s.Rig, "EVENTS"), stream(s.t.Context(), s.Rig, "BLOBS"), stream(s.t.Context(), s.Rig, "ATTEMPTS"),
		files("store", s.Store()), files("data", filepath.Join(s.Dir, "data")), files("logs", filepath.Join(s.Dir, "log")),
		files("metrics", filepath.Join(s.Dir, "metrics")), files("processes", filepath.Join(s.Dir, "processes")),
		text("OTLP", s.otlp.all()), text("Slack", s.slack.all()), text("command line", s.kept.Bytes()),
	}
}

// notBlind checks that what is no secret is found wherever it comes.
func (s *scene) notBlind(found map[string][]canary.Hit) {
	s.t.Helper()
	controls := map[string][]string{
		"stream EVENTS":   {open.application, open.title, open.live},
		"stream BLOBS":    {open.declared},
		"stream ATTEMPTS": {open.attempt},
		"store":           {open.application, open.title, open.live, open.declared, open.attempt},
		"data":            {open.application, open.title, open.live, open.declared, open.attempt},
		"metrics":         {open.environment},
		"processes":       {open.environment},
		"logs":            {open.application},
		"OTLP":            {open.application, open.environment},
		"Slack":           {open.title},
		"command line":    {open.application, open.title, open.live},
	}
	for place, hits := range found {
		if len(controls[place]) == 0 {
			s.t.Errorf("nothing shows that the search of %s sees anything", place)
		}
		for _, text := range controls[place] {
			if !slices.ContainsFunc(hits, func(h canary.Hit) bool { return h.Secret < set.Len() && set.Value(h.Secret) == text }) {
				s.t.Errorf("%s is searched, and %s not found in it", place, text)
			}
		}
	}
}
