// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

func TestABAWithinSecondsPublishesAAgain(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.declareShop("web")
	l.watch()
	l.observed("web", a)
	b := l.put("b", "web")
	l.observed("web", b)
	l.must(l.shop.Reset("main", a))
	l.observed("web", a)
	c := l.do(l.shop.Commit(gitserver.Commit{Files: map[string]string{"web/config.yaml": "c"}}))
	l.must(l.shop.Push())
	l.observed("web", c)
	l.same("revisions", l.revisions(map[string]string{a: "A", b: "B", c: "C"}),
		"web A declaration", "web B commit", "web A commit forced", "web C commit")
	var ids []string
	for _, e := range l.log("commit.observed") {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 4 {
		t.Error("two revisions have one id")
	}
}

func TestRewrittenHistoryIsForced(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	b := l.put("b", "web")
	l.declareShop("web")
	l.watch()
	l.observed("web", b)
	l.do(l.shop.Git("reset", "--hard", a))
	c := l.do(l.shop.Commit(gitserver.Commit{Files: map[string]string{"web/config.yaml": "c"}}))
	l.must(l.shop.ForcePush())
	_, data := l.observed("web", c)
	if !data.Revision.Forced || data.Revision.Previous != b {
		t.Errorf("revision: %+v", data.Revision)
	}
}

func (l *lab) source(payload events.Payload, repository string) *events.Event {
	l.Helper()
	return l.last(payload, events.Address{Key: repository})
}

func (l *lab) awaitUnreachable(repository string) *events.SourceUnreachable {
	l.Helper()
	var e *events.Event
	bustest.Eventually(l, repository+" unreachable", func() bool {
		e = l.source(&events.SourceUnreachable{}, repository)
		return e != nil
	})
	return e.Data.(*events.SourceUnreachable)
}

func (l *lab) awaitRecovered(repository string) {
	l.Helper()
	bustest.Eventually(l, repository+" recovered", func() bool {
		return l.source(&events.SourceRecovered{}, repository) != nil
	})
}

// outages lists what was said of a repository.
func (l *lab) outages(repository string) []string {
	l.Helper()
	var all []string
	for _, e := range l.log("source") {
		if e.Key == repository {
			all = append(all, e.Type.Verb)
		}
	}
	return all
}

func TestDeletedBranchKeepsTheLastRevision(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web", "api")
	l.do(l.shop.Git("checkout", "-q", "-b", "dev"))
	l.must(l.shop.Push())
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) +
		application("web", "shop", "branch: dev") + application("api", "shop", "")}))
	l.watch()
	l.observed("web", a)
	l.observed("api", a)

	l.must(l.shop.DeleteBranch("dev"))
	said := l.awaitUnreachable("shop")
	if said.Reason != events.ReasonRefMissing || !slices.Equal(said.Refs, []string{"refs/heads/dev"}) || !slices.Equal(said.Applications, []string{"web"}) {
		t.Errorf("said: %+v", said)
	}
	// The other application goes on.
	l.do(l.shop.Git("checkout", "-q", "main"))
	b := l.put("b", "api")
	l.observed("api", b)
	if data := l.last(&events.FleetObserved{}, events.Address{Cluster: "local"}).Data.(*events.FleetObserved); data.Count != 2 {
		t.Errorf("the fleet's list has %d applications", data.Count)
	}
	l.do(l.shop.Git("checkout", "-q", "dev"))
	l.must(l.shop.Push())
	l.awaitRecovered("shop")
	l.same("outages", l.outages("shop"), "unreachable", "recovered")
	l.same("revisions", l.revisions(map[string]string{a: "A", b: "B"}), "api A declaration", "web A declaration", "api B commit")
}

// An outage is over where the repository is no longer declared: nobody looks at
// it any more. So it is where it went while no watcher ran.
func TestOutageOfARepositoryThatIsNoLongerDeclared(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	declare := func(others ...string) {
		text := repository("shop", l.shop.URL) + application("web", "shop", "")
		for _, name := range others {
			text += repository(name, l.shop.URL+"-"+name) + application("of-"+name, name, "")
		}
		l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": text}))
		l.must(l.fleet.Push())
	}
	declare("one", "two")
	stop := l.watch()
	l.observed("web", a)
	l.awaitUnreachable("one")
	l.awaitUnreachable("two")
	declare("two")
	l.awaitRecovered("one")
	stop()
	declare()
	l.watch()
	l.awaitRecovered("two")
	l.same("outages of one", l.outages("one"), "unreachable", "recovered")
	l.same("outages of two", l.outages("two"), "unreachable", "recovered")
	l.same("outages of shop", l.outages("shop"))
}

func TestEmptiedRepositoryKeepsTheLastRevision(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.declareShop("web")
	stop := l.watch()
	l.observed("web", a)
	l.must(l.shop.DeleteBranch("main"))
	if said := l.awaitUnreachable("shop"); said.Reason != events.ReasonEmpty {
		t.Errorf("said: %+v", said)
	}
	stop()
	l.watch()
	l.looks(4)
	l.must(l.shop.Push())
	l.awaitRecovered("shop")
	l.same("outages", l.outages("shop"), "unreachable", "recovered")
	l.same("revisions", l.revisions(map[string]string{a: "A"}), "web A declaration")
}

func TestOneOutageIsSaidOnceAcrossRestarts(t *testing.T) {
	for name, fault := range map[string]gitserver.Fault{
		"down": gitserver.Down(), "500": gitserver.Status(http.StatusInternalServerError),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, gitserver.Options{})
			a := l.put("a", "web")
			l.declareShop("web")
			stop := l.watch()
			l.observed("web", a)
			bustest.Eventually(t, "the fleet's list", func() bool { return l.last(&events.FleetObserved{}, events.Address{Cluster: "local"}) != nil })
			l.git.Inject(fault)
			b := l.put("b", "web")
			l.awaitUnreachable("shop")
			l.awaitUnreachable("fleet")
			stop()
			stop = l.watch()
			l.looks(4) // fails often enough to say it again
			l.git.Inject(nil)
			l.awaitRecovered("shop")
			l.awaitRecovered("fleet")
			l.observed("web", b)
			stop()
			l.watch()
			l.looks(4)
			l.same("outages", l.outages("shop"), "unreachable", "recovered")
			l.same("outages of the fleet", l.outages("fleet"), "unreachable", "recovered")
			if n := len(l.log("fleet.observed")); n != 1 {
				t.Errorf("%d lists of the fleet", n)
			}
		})
	}
}

func TestMovedTagAndPinnedCommit(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web", "api")
	b := l.put("b", "web", "api")
	l.must(l.shop.Tag("v1", a))
	c := l.put("c", "web", "api")
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) +
		application("web", "shop", "tag: v1") + application("api", "shop", "commit: "+b)}))
	l.watch()
	_, tagged := l.observed("web", a)
	_, pinned := l.observed("api", b)
	if tagged.Revision.Ref != "refs/tags/v1" || pinned.Revision.Ref != b {
		t.Errorf("refs: %s, %s", tagged.Revision.Ref, pinned.Revision.Ref)
	}
	l.must(l.shop.Tag("v1", c))
	_, tagged = l.observed("web", c)
	if tagged.Revision.Forced {
		t.Error("a tag that moved forward is no rewritten history")
	}
	l.same("revisions of what is pinned", slices.DeleteFunc(l.revisions(map[string]string{a: "A", b: "B", c: "C"}), func(s string) bool {
		return strings.HasPrefix(s, "web")
	}), "api B declaration")
}

func TestChangedDeclarationIsARevision(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web", "api")
	l.declareShop("web", "api")
	l.watch()
	l.observed("web", a)
	l.observed("api", a)
	declared := l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) +
		strings.Replace(application("web", "shop", ""), "namespace: shop", "namespace: other", 1) + application("api", "shop", "")}))
	bustest.Eventually(t, "the changed declaration", func() bool {
		data := l.last(&events.CommitObserved{}, local("web")).Data.(*events.CommitObserved)
		return data.Declaration.Namespace == "other" && data.FleetCommit == declared
	})
	l.same("revisions", l.revisions(map[string]string{a: "A"}), "api A declaration", "web A declaration", "web A declaration")
}

func TestRestartPublishesNothingAgain(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web", "api")
	l.declareShop("web", "api")
	stop := l.watch()
	l.observed("web", a)
	l.observed("api", a)
	bustest.Eventually(t, "the fleet's list", func() bool { return len(l.log("fleet.observed")) == 1 })
	stop()
	before := len(l.log("*.*"))

	stop = l.watch()
	l.looks(6)
	stop()
	l.must(os.RemoveAll(l.config.Mirrors)) // and with the disk lost
	stop = l.watch()
	l.looks(6)
	stop()
	if after := len(l.log("*.*")); after != before {
		t.Errorf("%d events, %d before the restarts: %v", after, before, l.revisions(map[string]string{a: "A"}))
	}

	// What happened while it was away is seen.
	b := l.put("b", "web")
	l.watch()
	l.observed("web", b)
	l.observed("api", b)
}

func TestLostLogIsPublishedAgain(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web", "api")
	l.declareShop("web", "api")
	stop := l.watch()
	first, _ := l.observed("web", a)
	l.observed("api", a)
	lose := func() {
		store := l.bus.Store()
		l.bus.Down(t)
		l.must(os.RemoveAll(store))
		l.bus.Up(t)
	}
	lose() // underneath a running watcher
	second, data := l.observed("web", a)
	l.observed("api", a)
	if second.Epoch == first.Epoch || data.Revision.Cause != causeLog {
		t.Errorf("epoch %s, before %s; cause %s", second.Epoch, first.Epoch, data.Revision.Cause)
	}
	bustest.Eventually(t, "the fleet's list", func() bool {
		e := l.last(&events.FleetObserved{}, events.Address{Cluster: "local"})
		return e != nil && e.Epoch == second.Epoch
	})
	stop()
	lose() // and while it is away
	l.watch()
	third, data := l.observed("web", a)
	l.observed("api", a)
	if third.Epoch == second.Epoch || data.Revision.Cause != causeLog {
		t.Errorf("epoch %s, before %s; cause %s", third.Epoch, second.Epoch, data.Revision.Cause)
	}
}

func TestTwoWatchersByMistake(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	commits := map[string]string{}
	last := l.put("0", "web", "api")
	commits[last] = "0"
	l.declareShop("web", "api")
	l.watch()
	l.watch(func(c *Config) { c.Mirrors += "-2" })
	l.observed("web", last)
	for i := range 8 {
		last = l.put(fmt.Sprint("content ", i), "web")
		commits[last] = fmt.Sprint(i + 1)
		if i%3 == 2 {
			l.observed("web", last)
		}
	}
	l.observed("web", last)
	l.observed("api", last)
	l.looks(8)
	// Nothing goes back, and nothing is said twice.
	for _, application := range []string{"web", "api"} {
		at := -1
		for _, e := range l.log("commit.observed") {
			r := e.Data.(*events.CommitObserved).Revision
			if e.Application != application {
				continue
			}
			n := slices.Index([]string{"0", "1", "2", "3", "4", "5", "6", "7", "8"}, commits[r.Commit])
			if n <= at || r.Forced {
				t.Errorf("%s: revision %d (forced: %v) after %d", application, n, r.Forced, at)
			}
			at = n
		}
	}
	if n := len(l.log("fleet.observed")); n != 1 {
		t.Errorf("%d lists of the fleet, want 1", n)
	}
}

func TestOneListingServesAllApplicationsAndTheFleet(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	// The looks are those of the test: a poll that comes in between would count.
	text := strings.Replace(repository("mono", l.fleet.URL), "interval: 1s", "interval: 1h", 1)
	files := map[string]string{}
	for i := range 20 {
		name := fmt.Sprintf("app-%02d", i)
		text += application(name, "mono", "")
		files[name+"/config.yaml"] = "a"
	}
	files["clusters/all.yaml"] = text
	a := l.do(l.fleet.Put(files))
	l.watch(func(c *Config) { c.FleetInterval = 1e12 })
	for name := range files {
		if name, ok := strings.CutSuffix(name, "/config.yaml"); ok {
			l.observed(name, a)
		}
	}
	lists, fetches := l.git.Count(gitserver.List), l.git.Count(gitserver.Fetch)
	if lists > 3 || fetches > 1 {
		t.Errorf("%d listings and %d fetches for the first look", lists, fetches)
	}
	b := l.do(l.fleet.Put(map[string]string{"app-07/config.yaml": "b"}))
	_, err := l.bus.Connect(t, "operator").Publish(t.Context(), events.Cause{ID: "sync"}, events.Draft{Data: &events.SyncRequested{By: "test"}})
	l.must(err)
	l.observed("app-19", b)
	if got := l.git.Count(gitserver.Fetch) - fetches; got != 1 {
		t.Errorf("%d fetches for one commit", got)
	}
	if first := l.log("commit.observed")[20]; first.Application != "app-07" {
		t.Errorf("%s went first", first.Application)
	}
}

func TestMirrorLeavesNothingBehind(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.declareShop("web")
	stop := l.watch()
	l.observed("web", a)
	stop()
	entries, err := filepath.Glob(filepath.Join(l.config.Mirrors, "shop-*"))
	l.must(err)
	if len(entries) != 1 {
		t.Fatal(entries)
	}
	leftovers := []string{
		filepath.Join(entries[0], "new-1", "x"), filepath.Join(entries[0], "repo", "objects", "pack", "tmp_pack_1"),
		filepath.Join(l.config.Mirrors, "gone-0123456789ab", "repo", "objects", "x"),
	}
	for _, path := range leftovers {
		l.must(os.MkdirAll(filepath.Dir(path), 0o700))
		l.must(os.WriteFile(path, []byte("x"), 0o600))
	}
	stranger := filepath.Join(l.config.Mirrors, "my-documents", "repo", "objects", "x")
	l.must(os.MkdirAll(filepath.Dir(stranger), 0o700))
	l.must(os.WriteFile(stranger, []byte("x"), 0o600))
	l.watch()
	b := l.put("b", "web")
	l.observed("web", b)
	if _, err := os.Stat(stranger); err != nil {
		t.Error("what is no mirror was removed")
	}
	for _, path := range leftovers {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
}
