// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/test/freeport"
	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/kubelab"
	"github.com/plumbline-dev/plumbline/test/otlpserver"
	"github.com/plumbline-dev/plumbline/test/rig"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// scene is a whole Plumbline with secrets everywhere.
type scene struct {
	*rig.Rig
	*plant
	t           *testing.T
	otlp, slack *recorder
	messages    *slackserver.Server
	health      map[string]string // where each process answers
	webhook     string
	credentials string
	tmp         string
	kept        bytes.Buffer // what was printed to people
	repo        *gitserver.Repo
	decoys      []keyFile
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{plant: newPlant(), t: t, health: map[string]string{}, decoys: decoys(t)}
	token := "xoxb-" + s.secret("Slack token")
	slack, err := slackserver.Listen(slackserver.Options{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slack.Close() })
	otlp, err := otlpserver.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = otlp.Close() })
	s.messages, s.slack, s.otlp = slack, record(t, strings.TrimSuffix(slack.URL(), "/api/")), record(t, otlp.HTTP())
	dir := t.TempDir()
	s.credentials, s.tmp = filepath.Join(dir, "credentials"), filepath.Join(dir, "tmp")
	if err := os.Mkdir(s.tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	env := []string{"TMPDIR=" + s.tmp, "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=" + open.environment}
	for _, e := range otlp.Env("http/protobuf") {
		env = append(env, strings.Replace(e, otlp.HTTP(), s.otlp.URL, 1))
	}
	s.Rig, err = rig.New(t.Context(), rig.Options{
		Dir: filepath.Join(dir, "rig"), Bin: programs, Cluster: kubelab.Lend(t), Env: env,
		Slack: s.slack.URL + "/api/", SlackToken: token, Resync: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	for _, name := range append([]string{"nats", rig.Notifier}, rig.Services...) {
		p := s.Process(name)
		p.Args = append(p.Args, "--log-level", "debug", "--health-listen", s.listen(name))
		if name == "watcher" {
			p.Args = append(p.Args, "--git-credentials", s.credentials)
			s.webhook = p.Args[slices.Index(p.Args, "--webhook-listen")+1]
		}
	}
	s.giveTokens()
	if s.repo, err = s.Repo("canaries"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scene) listen(name string) string {
	s.health[name] = freeport.Address(s.t)
	return s.health[name]
}

func (s *scene) end() {
	if s.t.Failed() {
		for _, name := range append([]string{"nats", rig.Notifier}, rig.Services...) {
			s.t.Logf("%s says:\n%s", name, s.Process(name).Tail(8))
		}
	}
	if err := s.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *scene) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

func (s *scene) commit(all []app) {
	s.t.Helper()
	files := map[string]string{}
	for _, a := range all {
		for name, text := range a.files {
			files[a.name+"/"+name] = text
		}
	}
	_, err := s.repo.Commit(gitserver.Commit{Files: files, Message: "Everything, " + open.title})
	if err == nil {
		err = s.Push(s.t.Context(), s.repo)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// declare declares the applications, and what is no declaration beside them.
func (s *scene) declare(all []app) {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: canaries}\nspec: {url: %q}\n", s.repo.URL)
	for _, a := range all {
		fmt.Fprintf(&b, "---\napiVersion: plumbline.dev/v1alpha1\nkind: Application\nmetadata: {name: %q}\nspec:\n  source: {repository: canaries, path: %q}\n  namespace: canaries\n  createNamespace: true\n", a.name, a.name)
		for _, line := range a.spec {
			b.WriteString("  " + line + "\n")
		}
	}
	files := s.fleet()
	files["canaries.yaml"] = b.String()
	files["guarded.yaml"] = s.guarded()
	_, err := s.Fleet.Commit(gitserver.Commit{Files: files, Message: "Declare"})
	if err == nil {
		err = s.Push(s.t.Context(), s.Fleet)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// guarded declares repositories that ask for credentials: one that gets in by
// its token, and others whose credentials are no good.
func (s *scene) guarded() string {
	s.t.Helper()
	user, password := s.secret("Git: a token as user"), s.secret("Git: a password")
	server := gitserver.New(s.t, gitserver.Options{Username: user, Password: password})
	repo, err := server.Repo("vault")
	if err == nil {
		_, err = repo.Put(map[string]string{"a.yaml": secretYAML("vaulted", s.fill("Secret of a guarded repository", "stringData: {p: @@}\n"))})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	ssh, err := server.ServeSSH()
	if err != nil {
		s.t.Fatal(err)
	}
	for name, files := range map[string]map[string]string{
		"vault":   {"username": user, "password": password},
		"locked":  {"username": s.secret("Git: a token as user"), "password": s.secret("Git: a password")},
		"garbled": {"identity": s.fill("Git: an SSH key", "-----BEGIN OPENSSH PRIVATE KEY-----\n@64\n@@\n-----END OPENSSH PRIVATE KEY-----\n"), "known_hosts": string(ssh.KnownHosts)},
		"unknown": {"identity": string(ssh.Identity) + s.secret("Git: an SSH key"), "known_hosts": s.fill("Git: an SSH key", "@@ @@\n")},
	} {
		for file, text := range files {
			s.write(filepath.Join(s.credentials, name, file), text)
		}
	}
	var b strings.Builder
	for name, url := range map[string]string{"vault": repo.URL, "locked": repo.URL, "garbled": ssh.URL + "/vault.git", "unknown": ssh.URL + "/vault.git"} {
		fmt.Fprintf(&b, "---\napiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: %[1]s}\nspec: {url: %[2]q, interval: 1s}\n---\napiVersion: plumbline.dev/v1alpha1\nkind: Application\nmetadata: {name: %[1]s}\nspec: {source: {repository: %[1]s}, namespace: canaries}\n", name, url)
	}
	return b.String()
}

func (s *scene) write(path, text string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// guard gives webhooks their secrets.
func (s *scene) guard() {
	for _, name := range []string{"vault", "locked", "garbled", "unknown"} {
		s.write(filepath.Join(s.Dir, "webhook-secrets", name), s.secret("webhook secret"))
	}
}

func (s *scene) start() {
	s.t.Helper()
	if err := s.Up(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}
