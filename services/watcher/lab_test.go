// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/internal/seal"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// lab is a Git server with a fleet and one repository, and a bus.
type lab struct {
	*testing.T
	git    *gitserver.Server
	bus    *bustest.Server
	reader *bus.Conn
	fleet  *gitserver.Repo
	shop   *gitserver.Repo
	config Config
	key    *seal.SourceKey
}

func newLab(t *testing.T, options gitserver.Options) *lab {
	t.Helper()
	t.Parallel()
	return labOn(t, bustest.Start(t), options)
}

func labOn(t *testing.T, server *bustest.Server, options gitserver.Options) *lab {
	t.Helper()
	l := &lab{T: t, git: gitserver.New(t, options), bus: server}
	l.fleet, l.shop = l.repo("fleet"), l.repo("shop")
	l.reader = l.bus.Connect(t, "reader")
	dir := t.TempDir()
	l.config = Config{
		Fleet: l.fleet.URL, FleetPath: "clusters", FleetInterval: time.Second,
		Mirrors: filepath.Join(dir, "mirrors"), SourceKey: filepath.Join(dir, "source.key"),
		GitCredentials: filepath.Join(dir, "credentials"), Bus: l.bus.Config("watcher"),
	}
	var err error
	if l.key, err = seal.EnsureSourceKey(l.config.SourceKey); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) repo(name string) *gitserver.Repo {
	l.Helper()
	r, err := l.git.Repo(name)
	if err != nil {
		l.Fatal(err)
	}
	return r
}

// do fails the test on an error of a step that has a value.
func (l *lab) do(value string, err error) string {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
	return value
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// repository declares a repository.
func repository(name, url string) string {
	return fmt.Sprintf("apiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: %s}\nspec: {url: %q, interval: 1s}\n---\n", name, url)
}

// application declares an application of a repository; source is more of its
// source, such as "branch: dev".
func application(name, repository, source string) string {
	if source != "" {
		source = ", " + source
	}
	return fmt.Sprintf("apiVersion: plumbline.dev/v1alpha1\nkind: Application\nmetadata: {name: %s}\nspec: {source: {repository: %s, path: %s%s}, namespace: shop}\n---\n", name, repository, name, source)
}

// declareShop declares applications of the repository shop.
func (l *lab) declareShop(names ...string) string {
	l.Helper()
	text := repository("shop", l.shop.URL)
	for _, name := range names {
		text += application(name, "shop", "")
	}
	return l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": text}))
}

// put pushes a file per application, with one content.
func (l *lab) put(content string, applications ...string) string {
	l.Helper()
	files := map[string]string{}
	for _, name := range applications {
		files[name+"/config.yaml"] = content
	}
	return l.do(l.shop.Put(files))
}

// watch runs a watcher until stop, or the end of the test.
func (l *lab) watch(changes ...func(*Config)) (stop func()) {
	l.Helper()
	c := l.config
	for _, change := range changes {
		change(&c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, process.Env{Log: bustest.Log(l)}, c) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			l.Errorf("watcher: %v", err)
		}
	}
	l.Cleanup(stop)
	return stop
}

// last is the last event of a type, nil if there is none.
func (l *lab) last(p events.Payload, a events.Address) *events.Event {
	l.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	e, err := l.reader.Last(ctx, events.TypeOf(p).Subject(a))
	if errors.Is(err, bus.ErrNone) {
		return nil
	}
	l.must(err)
	return &e
}

func local(application string) events.Address {
	return events.Address{Cluster: "local", Application: application}
}

// observed waits until an application's last revision is of a commit, and
// returns it.
func (l *lab) observed(application, commit string) (events.Event, *events.CommitObserved) {
	l.Helper()
	var e *events.Event
	bustest.Eventually(l, fmt.Sprintf("%s at %.12s", application, commit), func() bool {
		e = l.last(&events.CommitObserved{}, local(application))
		return e != nil && e.Data.(*events.CommitObserved).Revision.Commit == commit
	})
	return *e, e.Data.(*events.CommitObserved)
}

// log is every event of a type, or of all types, in order.
func (l *lab) log(noun string) []events.Event {
	l.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var all []events.Event
	_, err := l.reader.Read(ctx, bus.Range{Filter: events.Root + "." + noun + ".>"}, func(r bus.Record) error {
		if r.Err != nil {
			return r.Err
		}
		all = append(all, r.Event)
		return nil
	})
	l.must(err)
	return all
}

// revisions lists what was observed, as "application commit cause[ forced]",
// with commits by the names that the test gives them.
func (l *lab) revisions(names map[string]string) []string {
	l.Helper()
	var all []string
	for _, e := range l.log("commit.observed") {
		r := e.Data.(*events.CommitObserved).Revision
		line := e.Application + " " + names[r.Commit] + " " + r.Cause
		if r.Forced {
			line += " forced"
		}
		all = append(all, line)
	}
	return all
}

// looks waits until the server has listed a number of times more: what a
// watcher does with what it saw before is done then.
func (l *lab) looks(n int) {
	l.Helper()
	want := l.git.Count(gitserver.List) + n
	bustest.Eventually(l, fmt.Sprintf("%d more listings", n), func() bool { return l.git.Count(gitserver.List) >= want })
}

// credential writes a file of a repository's credentials.
func (l *lab) credential(repository, file, content string) {
	l.Helper()
	dir := filepath.Join(l.config.GitCredentials, repository)
	l.must(os.MkdirAll(dir, 0o700))
	l.must(os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600))
}

func (l *lab) same(what string, got []string, want ...string) {
	l.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		l.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
