// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// list is the last list of cluster local, as "application[ held]".
func (l *lab) list() []string {
	l.Helper()
	e := l.last(&events.FleetObserved{}, events.Address{Cluster: "local"})
	if e == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	body, err := l.reader.Blobs().Get(ctx, e.Data.(*events.FleetObserved).List)
	l.must(err)
	var entries []events.FleetEntry
	l.must(json.Unmarshal(body, &entries))
	var all []string
	for _, e := range entries {
		if followed := e.Repository != "" && e.Ref != ""; followed != (e.DeclarationDigest != "") {
			l.Errorf("what it follows: %+v", e)
		}
		line := e.Application
		if e.Held {
			line += " held"
		}
		all = append(all, line)
	}
	return all
}

// awaitRead waits until a watcher has looked at the fleet as it is now.
func (l *lab) awaitRead() {
	l.Helper()
	l.looks(5)
}

func (l *lab) awaitList(want ...string) {
	l.Helper()
	bustest.Eventually(l, "the list "+strings.Join(want, ", "), func() bool { return slices.Equal(l.list(), want) })
}

func TestInvalidDeclarationsAreHeldAcrossRestartsAndLosses(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web", "api", "db")
	files := map[string]string{
		"clusters/repository.yaml": repository("shop", l.shop.URL),
		"clusters/web.yaml":        application("web", "shop", ""),
		"clusters/api.yaml":        application("api", "shop", ""),
		"clusters/db.yaml":         application("db", "shop", ""),
	}
	l.do(l.fleet.Put(files))
	stop := l.watch()
	l.awaitList("api", "db", "web")
	l.observed("web", a)
	l.observed("api", a)
	l.observed("db", a)

	// One declaration is invalid, one file can't be parsed.
	l.do(l.fleet.Put(map[string]string{
		"clusters/web.yaml": strings.Replace(files["clusters/web.yaml"], "namespace: shop", "namespace: NO", 1),
		"clusters/api.yaml": "{{ not: yaml",
	}))
	l.awaitList("api held", "db", "web held")
	rejected := l.log("fleet.rejected")
	if len(rejected) != 2 {
		t.Fatalf("%d rejections, want 2", len(rejected))
	}
	for _, e := range rejected {
		p := e.Data.(*events.FleetRejected)
		if p.Problems[0].Line == 0 && p.File != "clusters/api.yaml" || len(p.Holds) != 1 {
			t.Errorf("rejection: %+v", p)
		}
		if p.File == "clusters/web.yaml" && p.Problems[0].Field != "spec.namespace" {
			t.Errorf("rejection: %+v", p)
		}
	}
	// What is held follows its commits still.
	b := l.put("b", "web", "api")
	l.observed("web", b)
	l.observed("api", b)

	stop()
	stop = l.watch()
	l.looks(4)
	stop()
	l.must(os.RemoveAll(l.config.Mirrors)) // the bus remembers
	stop = l.watch()
	l.looks(4)
	stop()
	l.must(os.RemoveAll(l.config.Mirrors)) // history remembers
	l.loseLog()
	l.watch()
	l.awaitList("api held", "db", "web held")
	l.observed("web", b)
	l.observed("api", b)
	if n := len(l.log("fleet.rejected")); n != 2 {
		t.Errorf("%d rejections in the new log, want 2", n)
	}

	l.do(l.fleet.Put(files))
	l.awaitList("api", "db", "web")
	if n := len(l.log("fleet.rejected")); n != 2 {
		t.Errorf("%d rejections at the end, want 2", n)
	}
}

// A file that holds nothing is refused until it is mended, and the list says
// how long that is.
func TestListSaysWhichRejectionsHold(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.declareShop("web")
	stop := l.watch()
	l.observed("web", a)
	l.awaitList("web")
	holding := func() []string {
		t.Helper()
		p := l.last(&events.FleetObserved{}, events.Address{Cluster: "local"}).Data.(*events.FleetObserved)
		if p.RejectionCount != len(p.Rejections) {
			t.Errorf("%d of %d rejections", len(p.Rejections), p.RejectionCount)
		}
		return p.Rejections
	}
	l.do(l.fleet.Put(map[string]string{"clusters/junk.yaml": "{{ not: yaml"}))
	bustest.Eventually(t, "a rejection", func() bool { return len(holding()) == 1 })
	if said := l.last(&events.FleetRejected{}, events.Address{Key: holding()[0]}); said == nil || said.Data.(*events.FleetRejected).File != "clusters/junk.yaml" {
		t.Errorf("said: %+v", said)
	}
	stop()
	stop = l.watch()
	l.looks(4)
	stop()
	l.do(l.fleet.Commit(gitserver.Commit{Delete: []string{"clusters/junk.yaml"}}))
	l.must(l.fleet.Push())
	l.watch()
	bustest.Eventually(t, "none", func() bool { return len(holding()) == 0 })
	l.awaitRead()
	if n := len(l.log("fleet.observed")); n != 3 {
		t.Errorf("%d lists, want 3", n)
	}
}

func TestUnreadableFileWithoutMemoryListsNothing(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.do(l.fleet.Put(map[string]string{"clusters/api.yaml": "{{ not: yaml"}))
	l.declareShop("web")
	l.watch()
	l.observed("web", a)
	l.awaitList("web") // the history says that api.yaml never declared anything
}

func TestMissingFleetFolderIsNoEmptyFleet(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.declareShop("web")
	l.watch()
	l.observed("web", a)
	l.awaitList("web")
	l.do(l.fleet.Commit(gitserver.Commit{Delete: []string{"clusters"}, Files: map[string]string{"README": "x"}}))
	l.must(l.fleet.Push())
	if said := l.awaitUnreachable("fleet"); said.Reason != events.ReasonPathMissing {
		t.Errorf("said: %+v", said)
	}
	b := l.put("b", "web")
	l.observed("web", b)
	l.same("list", l.list(), "web")

	l.do(l.fleet.Put(map[string]string{"clusters/README": "x"}))
	l.awaitList() // a folder without declarations is an empty fleet
	l.awaitRecovered("fleet")
	if n := len(l.log("fleet.observed")); n != 2 {
		t.Errorf("%d lists, want 2", n)
	}
}

func TestDeclaredAgainIsPublishedAgain(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web", "api")
	l.declareShop("web", "api")
	l.watch()
	l.observed("web", a)
	l.observed("api", a)
	l.awaitList("api", "web")
	l.declareShop("api")
	l.awaitList("api")
	l.declareShop("web", "api")
	l.awaitList("api", "web")
	bustest.Eventually(t, "web again", func() bool { return len(l.log("commit.observed")) == 3 })
	l.same("revisions", l.revisions(map[string]string{a: "A"}), "api A declaration", "web A declaration", "web A declaration")
}

// TestWithdrawnIsPublishedAgain takes the word of the applier where the
// watcher's own memory is lost.
func TestWithdrawnIsPublishedAgain(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.declareShop("web")
	stop := l.watch()
	l.observed("web", a)
	l.awaitList("web")
	stop()
	l.must(os.RemoveAll(l.config.Mirrors))
	applier := l.bus.Connect(t, "applier-local")
	_, err := applier.Publish(t.Context(), events.Cause{ID: "withdrawal"},
		events.Draft{Data: &events.ApplicationWithdrawn{Outcome: events.ActionPruned}, Address: local("web")})
	l.must(err)
	l.watch()
	bustest.Eventually(t, "web again", func() bool { return len(l.log("commit.observed")) == 2 })
	l.looks(4)
	l.same("revisions", l.revisions(map[string]string{a: "A"}), "web A declaration", "web A declaration")
}

func TestUnreachableFleetHoldsNoRepositoryBack(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	other := gitserver.New(t, gitserver.Options{})
	fleet, err := other.Repo("fleet")
	l.must(err)
	a := l.put("a", "web")
	l.do(fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) + application("web", "shop", "")}))
	l.config.Fleet = fleet.URL
	stop := l.watch()
	l.observed("web", a)
	l.awaitList("web")
	stop()
	other.Inject(gitserver.Down())
	l.watch()
	b := l.put("b", "web")
	l.observed("web", b)
	l.awaitUnreachable("fleet")
	l.same("list", l.list(), "web")
}

func TestEmptiedFleetIsNoEmptyFleet(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.declareShop("web")
	l.watch(func(c *Config) { c.FleetPath = "." })
	l.observed("web", a)
	l.awaitList("web")
	l.do(l.fleet.Git("rm", "-r", "-q", "."))
	l.do(l.fleet.Git("commit", "-q", "-m", "Empty"))
	l.must(l.fleet.Push())
	if said := l.awaitUnreachable("fleet"); said.Reason != events.ReasonPathMissing {
		t.Errorf("said: %+v", said)
	}
	l.same("list", l.list(), "web")
}

// A declaration behind a link or in a submodule is not read, and so unknown.
func TestLinksAndSubmodulesHoldWhatTheyReplace(t *testing.T) {
	for name, replace := range map[string]func(l *lab){
		"a file by a link": func(l *lab) {
			l.do(l.fleet.Commit(gitserver.Commit{Delete: []string{"clusters/team/web.yaml"}, Files: map[string]string{"elsewhere/web.yaml": application("web", "shop", "")}}))
			l.do(l.fleet.Commit(gitserver.Commit{Links: map[string]string{"clusters/team/web.yaml": "../../elsewhere/web.yaml"}}))
		},
		"a folder by a link": func(l *lab) {
			l.do(l.fleet.Commit(gitserver.Commit{Delete: []string{"clusters/team"}, Files: map[string]string{"elsewhere/web.yaml": application("web", "shop", "")}}))
			l.do(l.fleet.Commit(gitserver.Commit{Links: map[string]string{"clusters/team": "../elsewhere"}}))
		},
		"a folder by a submodule": func(l *lab) {
			l.do(l.fleet.Commit(gitserver.Commit{Delete: []string{"clusters/team"}}))
			l.do(l.fleet.Git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("12", 20)+",clusters/team"))
			l.do(l.fleet.Git("commit", "-q", "-m", "Submodule"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, gitserver.Options{})
			a := l.put("a", "web", "api")
			l.do(l.fleet.Put(map[string]string{
				"clusters/shop.yaml":     repository("shop", l.shop.URL) + application("api", "shop", ""),
				"clusters/team/web.yaml": application("web", "shop", ""),
			}))
			l.watch()
			l.observed("web", a)
			l.awaitList("api", "web")
			l.do(l.fleet.Commit(gitserver.Commit{
				Files: map[string]string{"LICENSE": "x", "clusters/api.d/LICENSE": "x"},
				Links: map[string]string{"clusters/LICENSE": "../LICENSE", "clusters/again": "team", "clusters/current.yaml": "shop.yaml", "clusters/.hidden": "../elsewhere"},
			}))
			l.must(l.fleet.Push())
			l.awaitRead()
			l.same("list", l.list(), "api", "web")
			if n := len(l.log("fleet.rejected")); n != 0 {
				t.Errorf("%d rejections of links that hide nothing", n)
			}
			l.do(l.fleet.Git("rm", "-q", "clusters/again"))
			replace(l)
			l.must(l.fleet.Push())
			l.awaitList("api", "web held")
			if n := len(l.log("fleet.rejected")); n != 1 {
				t.Errorf("%d rejections, want one", n)
			}
		})
	}
}

const clusterEdge = "apiVersion: plumbline.dev/v1alpha1\nkind: Cluster\nmetadata: {name: edge}\nspec: {recipient: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p}\n---\n"

// onEdge declares an application of the repository shop on the cluster edge.
func onEdge(name string) string {
	return strings.Replace(application(name, "shop", ""), "namespace:", "cluster: edge, namespace:", 1)
}

// loseLog starts the bus anew, on nothing.
func (l *lab) loseLog() {
	l.Helper()
	store := l.bus.Store()
	l.bus.Down(l)
	l.must(os.RemoveAll(store))
	l.bus.Up(l)
}

// A cluster that goes with its last application gets an empty list, whatever
// of the watcher's memory is lost before.
func TestClusterThatGoesWithItsApplicationsIsEmptied(t *testing.T) {
	for name, lose := range map[string]func(l *lab){
		"remembered": func(*lab) {},
		"read from the bus": func(l *lab) {
			l.must(os.RemoveAll(l.config.Mirrors))
		},
		"remembered, the log lost": (*lab).loseLog,
		"read from the history": func(l *lab) {
			l.must(os.RemoveAll(l.config.Mirrors))
			l.loseLog()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, gitserver.Options{})
			a := l.put("a", "web", "api")
			declare := func(text string) {
				t.Helper()
				l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) + application("api", "shop", "") + text}))
			}
			edge := func() *events.FleetObserved {
				t.Helper()
				if e := l.last(&events.FleetObserved{}, events.Address{Cluster: "edge"}); e != nil {
					return e.Data.(*events.FleetObserved)
				}
				return nil
			}
			declare(clusterEdge + onEdge("web"))
			stop := l.watch()
			l.observed("api", a)
			bustest.Eventually(t, "the list of edge", func() bool { return edge() != nil && edge().Count == 1 })
			stop()
			declare("")
			lose(l)
			stop = l.watch()
			bustest.Eventually(t, "an empty list of edge", func() bool { return edge() != nil && edge().Count == 0 })
			l.awaitList("api")
			stop()
			said := len(l.log("fleet.observed"))
			stop = l.watch()
			l.looks(4)
			stop()
			if n := len(l.log("fleet.observed")); n != said {
				t.Errorf("%d lists, and %d before", n, said)
			}
			declare(clusterEdge + onEdge("web"))
			l.watch()
			bustest.Eventually(t, "the list of edge again", func() bool { return edge().Count == 1 })
		})
	}
}

// So does one of which no revision was ever observed: only its list tells that it
// was declared.
func TestClusterOfWhatWasNeverObservedIsEmptied(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "api")
	declare := func(text string) {
		t.Helper()
		l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) + application("api", "shop", "") + text}))
	}
	web := strings.Replace(application("web", "shop", "branch: none"), "namespace:", "cluster: edge, namespace:", 1)
	count := func(n int) func() bool {
		return func() bool {
			e := l.last(&events.FleetObserved{}, events.Address{Cluster: "edge"})
			return e != nil && e.Data.(*events.FleetObserved).Count == n
		}
	}
	declare(clusterEdge + web)
	stop := l.watch()
	l.observed("api", a)
	bustest.Eventually(t, "the list of edge", count(1))
	stop()
	declare("")
	l.must(os.RemoveAll(l.config.Mirrors))
	l.watch()
	bustest.Eventually(t, "an empty list of edge", count(0))
}

// There and back between clusters: each list lacks what is on the other one,
// and each arrival is a revision.
func TestMovedToAnotherClusterAndBack(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web", "api")
	put := func(cluster, more string) {
		t.Helper()
		web := strings.Replace(application("web", "shop", ""), "namespace:", "cluster: "+cluster+", namespace:", 1)
		l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) + more + web + application("api", "shop", "")}))
	}
	revisions := func() int { return len(l.log("commit.observed")) }
	put("local", clusterEdge)
	l.watch()
	l.observed("web", a)
	l.awaitList("api", "web")
	put("edge", clusterEdge)
	l.awaitList("api")
	bustest.Eventually(t, "web at edge", func() bool {
		return l.last(&events.CommitObserved{}, events.Address{Cluster: "edge", Application: "web"}) != nil
	})
	put("local", clusterEdge)
	l.awaitList("api", "web")
	bustest.Eventually(t, "web back", func() bool { return revisions() == 4 })
	// On a cluster that isn't declared it is invalid, and stays where it was.
	put("edge", "")
	l.awaitList("api", "web held")
	var said []string
	for _, e := range l.log("fleet.observed") {
		said = append(said, fmt.Sprint(e.Cluster, " ", e.Data.(*events.FleetObserved).Count))
	}
	l.same("lists", said, "edge 0", "local 2", "edge 1", "local 1", "edge 0", "local 2", "local 2")
}

// A reader that waits out an hour looks at once when it is to look every
// second.
func TestAnotherIntervalCountsAtOnce(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": l.calm() + application("web", "shop", "")}))
	l.watch()
	l.observed("web", a)
	b := l.put("b", "web")
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", l.shop.URL) + application("web", "shop", "")}))
	l.observed("web", b)
	l.observed("web", l.put("c", "web"))
}
