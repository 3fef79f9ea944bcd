// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// declareTwo declares web with a source of its own, and api beside it.
func (l *lab) declareTwo(source string) {
	l.Helper()
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) +
		application("web", "shop", source) + application("api", "shop", "")}))
}

// What one application follows and can't be had keeps no other back.
func TestWhatCannotBeHadKeepsNoOtherBack(t *testing.T) {
	nowhere := strings.Repeat("12", 20)
	for name, test := range map[string]struct {
		source, ref string
		prepare     func(l *lab)
	}{
		"a commit that is nowhere": {"commit: " + `"` + nowhere + `"`, nowhere, func(l *lab) {
			_, err := l.shop.Git("--git-dir", l.shop.Bare, "config", "uploadpack.allowAnySHA1InWant", "true")
			l.must(err)
		}},
		"a tag of a file": {"tag: key", "refs/tags/key", func(l *lab) {
			l.do(l.shop.Git("tag", "key", "HEAD:web/config.yaml"))
			l.do(l.shop.Git("push", "-q", "origin", "refs/tags/key"))
		}},
		"an annotated tag of a folder": {"tag: tree", "refs/tags/tree", func(l *lab) {
			l.do(l.shop.Git("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "tag", "-a", "-m", "x", "tree", "HEAD^{tree}"))
			l.do(l.shop.Git("push", "-q", "origin", "refs/tags/tree"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, gitserver.Options{})
			a := l.put("a", "web", "api")
			test.prepare(l)
			l.declareTwo(test.source)
			l.watch()
			l.observed("api", a)
			said := l.awaitUnreachable("shop")
			if said.Reason != events.ReasonRefMissing || !slices.Equal(said.Refs, []string{test.ref}) || !slices.Equal(said.Applications, []string{"web"}) {
				t.Errorf("said: %+v", said)
			}
			b := l.put("b", "web", "api")
			l.observed("api", b)
			l.declareTwo("")
			l.observed("web", b)
			l.awaitRecovered("shop")
		})
	}
}

// Of two commits at no ref, the one that is there is fetched.
func TestPinnedCommitIsFetchedBesideOneThatIsNowhere(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	old := l.put("a", "web", "api")
	b := l.put("b", "web", "api")
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) +
		application("web", "shop", "commit: "+`"`+old+`"`) + application("api", "shop", "commit: "+`"`+strings.Repeat("12", 20)+`"`) +
		application("db", "shop", "")}))
	l.watch()
	l.observed("db", b)
	l.observed("web", old)
	if said := l.awaitUnreachable("shop"); !slices.Equal(said.Applications, []string{"api"}) {
		t.Errorf("said: %+v", said)
	}
}

// What is declared in the middle of a look follows refs that were not fetched:
// they are not gone, however many looks in a row that happens to.
func TestDeclaredAmidALookIsNotGone(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	tips := map[string]string{"web": l.put("a", "web")}
	for _, name := range []string{"api", "db"} {
		tips[name] = l.do(l.shop.Commit(gitserver.Commit{Files: map[string]string{name + "/config.yaml": name}}))
		l.do(l.shop.Git("push", "-q", "origin", "HEAD:refs/heads/"+name))
	}
	fetches := make(chan chan struct{}) // each is answered when it is closed
	l.git.Inject(gitserver.For("shop", gitserver.Only(gitserver.Fetch, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := make(chan struct{})
			select {
			case fetches <- answer:
				<-answer
			case <-r.Context().Done():
			}
			next.ServeHTTP(w, r)
		})
	})))
	text := repository("shop", l.shop.URL)
	declare := func(name, source string) {
		text += application(name, "shop", source)
		l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": text}))
	}
	declare("web", "")
	l.watch()
	for n, name := range []string{"api", "db"} {
		answer := <-fetches
		declare(name, "branch: "+name)
		bustest.Eventually(t, name+" is declared", func() bool {
			e := l.last(&events.FleetObserved{}, events.Address{Cluster: "local"})
			return e != nil && e.Data.(*events.FleetObserved).Count == n+2
		})
		close(answer)
	}
	close(<-fetches)
	for name, tip := range tips {
		l.observed(name, tip)
	}
	for _, e := range l.log("source.unreachable") {
		t.Errorf("said: %+v", e.Data)
	}
}

func TestPinnedCommitsTakeTurns(t *testing.T) {
	one, two := plumbing.NewHash(strings.Repeat("1", 40)), plumbing.NewHash(strings.Repeat("2", 40))
	now := time.Now()
	p := &pass{reader: &reader{denials: map[plumbing.Hash]time.Time{one: now.Add(-time.Hour), two: now.Add(-2 * time.Hour)}}, began: now, trigger: byPoll}
	p.deny([]plumbing.Hash{one, two})
	if !p.denied(one) || p.denied(two) {
		t.Error("the one that was left out longest ago has no turn")
	}
	p.deny([]plumbing.Hash{two})
	if !p.denied(two) {
		t.Error("what came to nothing alone is asked for again at once")
	}
	later := &pass{reader: p.reader, began: time.Now(), trigger: bySync}
	if later.denied(one) {
		t.Error("a sync does not ask again")
	}
}

func TestMissingRefDoesNotSlowThePollOfOthers(t *testing.T) {
	r := &reader{}
	r.interval.Store(int64(time.Second))
	if d := r.pause(&trouble{reason: events.ReasonRefMissing, refs: []string{"refs/heads/gone"}}, 20); d > 2*time.Second {
		t.Errorf("looks again after %s", d)
	}
	if d := r.pause(&trouble{reason: events.ReasonUnreachable}, 20); d < 50*time.Second {
		t.Errorf("an unreachable server is asked after %s", d)
	}
	if d := r.pause(nil, 0); d > 2*time.Second {
		t.Errorf("looks again after %s", d)
	}
}

func TestLargeDeclarationHoldsNoOtherBack(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web", "api")
	var rules strings.Builder
	for range 90 {
		rules.WriteString("{kind: Deployment, path: /" + strings.Repeat("x", 1000) + "}, ")
	}
	large := strings.Replace(application("api", "shop", ""), "namespace: shop}", "namespace: shop, audit: {ignore: ["+rules.String()+"]}}", 1)
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) + large + application("web", "shop", "")}))
	l.watch()
	l.observed("web", a)
	l.awaitList("api held", "web") // rejections are said before it
	if n := len(l.log("fleet.rejected")); n != 1 {
		t.Errorf("%d rejections, want one", n)
	}
}
