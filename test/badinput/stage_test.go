// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/kubelab"
	"github.com/plumbline-dev/plumbline/test/rig"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// patience bounds every wait for one input: many times what it takes.
const patience = 2 * time.Minute

// grace is how long what is wanted is waited for once something else was said.
const grace = 10 * time.Second

// stage is one running Plumbline that is given the whole corpus.
type stage struct {
	*rig.Rig
	inputs  []Input
	home    *gitserver.Repo // of the healthy application
	corpus  *gitserver.Repo // a branch for each input that is an application
	scripts *scripts
	slack   *slackserver.Server
	begun   time.Time
	// canaries are what must not be told.
	canaries *canaries
	// silences are what [stage.kept] judges.
	silences silences
	// alive ends with the first process that ends, when Plumbline stands still, and
	// with the budget: then nothing is waited for any more, and its cause says why.
	// over ends it.
	alive context.Context
	over  context.CancelCauseFunc

	fleetMu sync.Mutex // of what writes the fleet
}

// raise boots a cluster and Plumbline, with the healthy application alone.
func raise(t *testing.T, inputs []Input) *stage {
	t.Helper()
	dir := t.TempDir()
	slack, err := slackserver.Listen(slackserver.Options{Token: secretToken, Rate: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slack.Close() })
	r, err := rig.New(t.Context(), rig.Options{
		Dir: dir, Bin: programs, Cluster: kubelab.ForTest(t), FleetInterval: 2 * time.Second,
		Slack: slack.URL(), SlackToken: secretToken,
		Args: map[string][]string{
			// A render that would go on for ever is cut soon.
			"renderer": {"--timeout", "20s", "--memory", "400MiB"},
			"auditor":  {"--full-compare", "10s"}, // what no field's owner tells of is seen in time
			// A fetch has a minute: a pack that never ends is 1 GiB before that is known.
			"watcher": {"--git-timeout", "6s", "--git-credentials", filepath.Join(dir, "credentials")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{Rig: r, slack: slack, inputs: inputs, begun: time.Now()}
	t.Cleanup(func() { s.end(t) })
	if s.canaries, err = canariesOf(inputs); err != nil {
		t.Fatal(err)
	}
	if s.home, err = r.Repo("home"); err != nil {
		t.Fatal(err)
	}
	if s.corpus, err = r.Repo("corpus"); err != nil {
		t.Fatal(err)
	}
	if s.scripts, err = serveScripts(inputs); err != nil {
		t.Fatal(err)
	}
	if err := writeCredentials(filepath.Join(dir, "credentials"), inputs); err != nil {
		t.Fatal(err)
	}
	if err := s.plant(); err != nil {
		t.Fatal(err)
	}
	if err := s.commitFleet(map[string]string{"healthy.yaml": s.healthyDeclaration()}); err != nil {
		t.Fatal(err)
	}
	if err := s.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.watchProcesses(t)
	return s
}

// gitPassword opens the repositories of the Git section, and must be nowhere
// else.
const (
	gitUser     = "corpus"
	gitPassword = "canary-password" //nolint:gosec // it opens nothing of worth
)

// writeCredentials gives every repository of the Git section credentials: what
// can follow a redirect, and stand in a message.
func writeCredentials(folder string, inputs []Input) error {
	for _, in := range inputs {
		if in.Section != "git" {
			continue
		}
		own := filepath.Join(folder, in.ID())
		if err := os.MkdirAll(own, 0o700); err != nil {
			return err
		}
		for name, text := range map[string]string{"username": gitUser, "password": gitPassword} {
			if err := os.WriteFile(filepath.Join(own, name), []byte(text+"\n"), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// processes are those that must live through it all.
func processes() []string { return append([]string{"nats", rig.Notifier}, rig.Services...) }

func (s *stage) watchProcesses(t *testing.T) {
	t.Helper()
	timed, stop := context.WithTimeoutCause(t.Context(), budget, fmt.Errorf("the corpus is not through after %s", budget))
	alive, over := context.WithCancelCause(timed)
	s.alive, s.over = alive, over
	t.Cleanup(func() { over(nil); stop() })
	for _, name := range processes() {
		exited := s.Process(name).Exited()
		go func() {
			select {
			case <-exited:
				over(fmt.Errorf("the %s has ended", name))
			case <-alive.Done():
			}
		}()
	}
}

func (s *stage) end(t *testing.T) {
	if t.Failed() {
		if dir := os.Getenv("BADINPUT_KEEP"); dir != "" {
			_ = os.CopyFS(dir, os.DirFS(s.Dir+"/log")) // for who looks into a failure
		}
		s.report(t)
	}
	s.scripts.close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// isApplication says whether an input is an application of the corpus' own
// repository, with a branch of its own.
func (in Input) isApplication() bool {
	switch in.Section {
	case "yaml", "kustomize", "manifests", "cluster":
		return true
	case "bus":
		return slices.ContainsFunc(in.Files, func(f File) bool { return strings.HasPrefix(f.Path, "deploy/") })
	}
	return false
}

// plant writes a branch of the corpus' repository for each input that is an
// application, and the healthy one's repository: what a repository's applications
// have changed is read one after the other, and 300 hostile trees take seconds.
func (s *stage) plant() error {
	o := objects{}
	refs := map[string]string{}
	for _, in := range s.inputs {
		if !in.isApplication() {
			continue
		}
		entries, err := in.Tree()
		if err != nil {
			return err
		}
		refs["refs/heads/"+in.ID()] = o.commit(o.tree(entries), in.Name)
	}
	if err := o.write(s.corpus.Bare, refs); err != nil {
		return fmt.Errorf("plant the corpus: %w", err)
	}
	_, err := s.home.Commit(gitserver.Commit{Files: healthyFiles(0)})
	if err == nil {
		err = s.home.Push()
	}
	return err
}

func (s *stage) healthyDeclaration() string {
	return fmt.Sprintf(`apiVersion: plumbline.dev/v1alpha1
kind: Repository
metadata: {name: home}
spec: {url: %q, interval: 2s}
---
apiVersion: plumbline.dev/v1alpha1
kind: Repository
metadata: {name: corpus}
spec: {url: %q, interval: 2s}
---
apiVersion: plumbline.dev/v1alpha1
kind: Application
metadata: {name: healthy}
spec:
  source: {repository: home, path: deploy}
  namespace: healthy
  createNamespace: true
`, s.home.URL, s.corpus.URL)
}

func healthyFiles(n int) map[string]string {
	return map[string]string{
		"deploy/a.yaml": fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: healthy}\ndata: {v: %q}\n", fmt.Sprint(n)),
		"deploy/b.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: healthy}\nspec: {ports: [{port: 80}]}\n",
	}
}

// declaration is the application that an input is.
func (in Input) declaration() string {
	if text := in.Parts["declaration"]; text != "" {
		return text
	}
	repository, branch := "corpus", in.ID()
	if in.Section == "git" {
		repository, branch = in.ID(), "main"
	}
	return fmt.Sprintf(`apiVersion: plumbline.dev/v1alpha1
kind: Application
metadata: {name: %[1]s}
spec:
  source: {repository: %[2]s, branch: %[3]s, path: deploy}
  namespace: %[1]s
  createNamespace: true
`, in.ID(), repository, branch)
}

// late says that an input takes so much that it would delay what becomes of
// the others.
func (in Input) late() bool { return in.Parts["late"] != "" }

// declare declares inputs that are applications.
func (s *stage) declare(inputs []Input) error {
	files := map[string]string{}
	for _, in := range inputs {
		switch {
		case in.isApplication():
			files["corpus/"+in.ID()+".yaml"] = in.declaration()
		case in.Section == "git":
			files["git/"+in.ID()+".yaml"] = fmt.Sprintf(`apiVersion: plumbline.dev/v1alpha1
kind: Repository
metadata: {name: %s}
spec: {url: %q, interval: 1s}
---
`, in.ID(), s.scripts.url(in)) + in.declaration()
		}
	}
	return s.commitFleet(files)
}

// commitFleet commits to the fleet and rings its webhook.
func (s *stage) commitFleet(files map[string]string, remove ...string) error {
	return s.commitChange(gitserver.Commit{Files: files, Delete: remove, Message: "Declare"})
}

func (s *stage) commitChange(c gitserver.Commit) error {
	s.fleetMu.Lock()
	defer s.fleetMu.Unlock()
	_, err := s.Fleet.Commit(c)
	if err == nil {
		err = s.Fleet.Push()
	}
	if err != nil || s.Bus == nil {
		return err
	}
	return s.Ring(s.alive, s.Fleet)
}

// outcomes are the events that end what becomes of an application's revision.
var outcomes = []string{"commit.rejected", "render.failed", "convergence.completed", "convergence.failed"}

// outcome says whether an event ends what becomes of an application.
func outcome(e rig.Seen, application string) bool {
	for _, name := range outcomes {
		if e.Type.Name() == name && e.Application == application {
			return true
		}
	}
	switch d := e.Data.(type) {
	case *events.SourceUnreachable:
		return d.Repository == application
	case *events.MessageRejected:
		return e.Application == application
	}
	return false
}

// moment is when inputs were given, and where the events begin that may be
// about them. What was given at once has one patience together.
type moment struct {
	mark int
	at   time.Time
}

func (s *stage) now() moment { return moment{s.Bus.Mark(), time.Now()} }

// await waits for an event that an input wants; where none comes, its error
// says what came instead.
func (s *stage) await(in Input, since moment, mine func(rig.Seen) bool) error {
	ctx, cancel := context.WithTimeout(s.alive, max(time.Until(since.at.Add(patience)), time.Second))
	defer cancel()
	var seen []string
	_, err := s.Bus.Wait(ctx, since.mark, func(e rig.Seen) bool {
		if !mine(e) {
			return false
		}
		wrong := in.Want.wrong(said(e.Event))
		if wrong == "" {
			return true
		}
		if seen = append(seen, wrong); len(seen) == 1 { // what is right may still come, and soon
			time.AfterFunc(grace, cancel)
		}
		return false
	})
	switch {
	case err == nil:
		return nil
	case len(seen) == 0:
		return fmt.Errorf("nothing was said: %w", context.Cause(ctx))
	}
	return fmt.Errorf("what was wanted was not said, but\n  %s", strings.Join(seen, "\n  "))
}
