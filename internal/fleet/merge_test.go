// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fleet"
)

const (
	recipient      = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	repositoryShop = "apiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: shop}\nspec: {url: https://git.example.com/shop.git}\n"
	clusterEdge    = "apiVersion: plumbline.dev/v1alpha1\nkind: Cluster\nmetadata: {name: edge}\nspec: {recipient: " + recipient + "}\n"
)

// application declares one; each of spec is a line of its spec.
func application(name string, spec ...string) string {
	return fmt.Sprintf("apiVersion: plumbline.dev/v1alpha1\nkind: Application\nmetadata: {name: %s}\nspec:\n  source: {repository: shop}\n%s",
		name, strings.Join(append(slices.Clone(spec), ""), "\n"))
}

func documents(texts ...string) string { return strings.Join(texts, "---\n") }

// files are those of a fleet, from pairs of path and text.
func files(pairs ...string) []fleet.File {
	var all []fleet.File
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, fleet.File{Path: pairs[i], Data: []byte(pairs[i+1])})
	}
	return all
}

// inForce is a State in few words: names in order, those that are held in
// brackets.
func inForce(s fleet.State) string {
	var words []string
	for _, e := range s.Applications {
		word := e.Name
		if e.Held {
			word = "[" + word + "]"
		}
		words = append(words, word)
	}
	if !s.Complete {
		words = append(words, "…")
	}
	return strings.Join(words, " ")
}

func TestMerge(t *testing.T) {
	before := files("repos.yaml", repositoryShop, "a.yaml", documents(application("a1"), application("a2")), "b.yaml", application("b1"))
	for name, tc := range map[string]struct {
		now  []fleet.File
		want string
	}{
		"unchanged":                  {before, "a1 a2 b1"},
		"one removed":                {files("repos.yaml", repositoryShop, "a.yaml", application("a1"), "b.yaml", application("b1")), "a1 b1"},
		"a file removed":             {files("repos.yaml", repositoryShop, "b.yaml", application("b1")), "b1"},
		"everything removed":         {files("repos.yaml", repositoryShop), ""},
		"one invalid":                {files("repos.yaml", repositoryShop, "a.yaml", documents(application("a1", "  typo: 1"), application("a2")), "b.yaml", application("b1")), "[a1] a2 b1"},
		"one new and invalid":        {append(slices.Clone(before), files("c.yaml", application("c1", "  typo: 1"))...), "a1 a2 b1 [c1]"},
		"one declared twice":         {append(slices.Clone(before), files("c.yaml", application("b1"))...), "a1 a2 [b1]"},
		"a file that is no YAML":     {files("repos.yaml", repositoryShop, "a.yaml", "kind: [", "b.yaml", application("b1")), "[a1] [a2] b1"},
		"no YAML, another withdrawn": {files("repos.yaml", repositoryShop, "a.yaml", "kind: [", "b.yaml", ""), "[a1] [a2]"},
		"a file that lost its kind":  {files("repos.yaml", repositoryShop, "a.yaml", documents(application("a1"), strings.Replace(application("a2"), "kind: Application\n", "", 1)), "b.yaml", application("b1")), "a1 [a2] b1"},
		"a name that became invalid": {files("repos.yaml", repositoryShop, "a.yaml", documents(application("a1"), application("A2")), "b.yaml", application("b1")), "a1 [a2] b1"},
		"moved":                      {files("repos.yaml", repositoryShop, "b.yaml", documents(application("a1"), application("a2"), application("b1"))), "a1 a2 b1"},
		"moved into a broken file":   {files("repos.yaml", repositoryShop, "a.yaml", application("a1"), "b.yaml", documents(application("a2"), "kind: [")), "a1 [a2] [b1]"},
		"renamed and broken":         {files("repos.yaml", repositoryShop, "c.yaml", "kind: [", "b.yaml", application("b1")), "[a1] [a2] b1"},
		"a new broken file":          {files("repos.yaml", repositoryShop, "a.yaml", application("a1"), "b.yaml", application("b1"), "c.yaml", "kind: ["), "a1 b1"},
		"escaped and broken":         {files("repos.yaml", repositoryShop, "a.yaml", application("a1"), "b.yaml", application("b1"), "c.yaml", "name: \"\\x612\"\nkind: ["), "a1 [a2] b1"},
		"mentioned and broken":       {files("repos.yaml", repositoryShop, "a.yaml", application("a1"), "b.yaml", application("b1"), "c.yaml", "xa2 a2\nkind: ["), "a1 [a2] b1"},
		"a longer name and broken":   {files("repos.yaml", repositoryShop, "a.yaml", application("a1"), "b.yaml", application("b1"), "c.yaml", "a2-x xa2 -a2\nkind: [ a22"), "a1 b1"},
		"not UTF-8":                  {files("repos.yaml", repositoryShop, "a.yaml", "\xff\xfe", "b.yaml", ""), "[a1] [a2] [b1]"},
		"the repository is gone":     {files("a.yaml", documents(application("a1"), application("a2")), "b.yaml", application("b1")), "[a1] [a2] [b1]"},
		"the repository is invalid":  {files("repos.yaml", strings.Replace(repositoryShop, "https", "ftp", 1), "a.yaml", documents(application("a1"), application("a2"))), "[a1] [a2]"},
		"repositories unreadable":    {files("repos.yaml", "kind: [", "a.yaml", documents(application("a1"), application("a2")), "b.yaml", application("b1")), "[a1] [a2] [b1]"},
	} {
		t.Run(name, func(t *testing.T) {
			previous := fleet.Merge(fleet.State{}, fleet.Parse(before), recipient)
			if got := inForce(previous); got != "a1 a2 b1" {
				t.Fatalf("before: %s", got)
			}
			now := fleet.Merge(remember(t, previous), fleet.Parse(tc.now), recipient)
			if got := inForce(now); got != tc.want {
				t.Errorf("in force: %s\nwant:     %s", got, tc.want)
			}
			for _, e := range now.Applications {
				if e.Held && e.Declaration != nil && !slices.ContainsFunc(now.Repositories, func(r fleet.Repository) bool { return r.Name == "shop" }) {
					t.Errorf("%s is held, and its repository is forgotten", e.Name)
				}
			}
			for _, e := range now.Applications {
				held := slices.ContainsFunc(now.Rejections, func(r fleet.Rejection) bool { return slices.Contains(r.Holds, e.Name) })
				if held != e.Held {
					t.Errorf("%s held: %v; a rejection says so: %v", e.Name, e.Held, held)
				}
			}
			healed := fleet.Merge(remember(t, now), fleet.Parse(before), recipient)
			if diff := cmp.Diff(previous, healed); diff != "" {
				t.Errorf("the fleet as it was (-before +after):\n%s", diff)
			}
		})
	}
}

// remember is s as it comes back from where it is kept.
func remember(t *testing.T, s fleet.State) fleet.State {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back fleet.State
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func TestHeldStaysAsItWasDeclared(t *testing.T) {
	before := fleet.Merge(fleet.State{}, fleet.Parse(files("f.yaml", documents(repositoryShop, clusterEdge, application("a", "  cluster: edge", "  namespace: one")))), "")
	held := fleet.Merge(before, fleet.Parse(files("f.yaml", documents(repositoryShop, application("a", "  cluster: local", "  namespace: two", "  typo: 1")))), "")
	d := held.Applications[0].Declaration
	if d == nil || d.Cluster != "edge" || d.Namespace != "one" || d.Recipient != recipient {
		t.Fatalf("held as %+v", d)
	}
	lists := held.Lists()
	if len(lists["edge"]) != 1 || len(lists["local"]) != 0 {
		t.Errorf("lists: %v; want it on edge, where it was", lists)
	}
	if before.Applications[0].Held {
		t.Error("Merge has changed the state that it was given")
	}
}

// A cluster that goes keeps a list: with its applications, after them, or with
// one that is held there; until it is declared again.
func TestClusterThatGoesKeepsAList(t *testing.T) {
	lists := func(s fleet.State) string {
		var words []string
		for cluster, entries := range s.Lists() {
			words = append(words, fmt.Sprint(cluster, " ", len(entries)))
		}
		slices.Sort(words)
		return strings.Join(words, ", ")
	}
	onEdge := application("a", "  cluster: edge")
	state := fleet.State{}
	for i, step := range []struct{ text, want string }{
		{repositoryShop, "local 0"},
		{documents(repositoryShop, clusterEdge, onEdge, application("b")), "edge 1, local 1"},
		{documents(repositoryShop, application("b")), "edge 0, local 1"}, // with its application
		{documents(repositoryShop, application("b")), "edge 0, local 1"},
		{documents(repositoryShop, clusterEdge, onEdge), "edge 1, local 0"},
		{documents(repositoryShop, onEdge), "edge 1, local 0"}, // before it: it is held
		{repositoryShop, "edge 0, local 0"},
		{documents(repositoryShop, clusterEdge), "edge 0, local 0"},
	} {
		state = fleet.Merge(remember(t, state), fleet.Parse(files("f.yaml", step.text)), "")
		if got := lists(state); got != step.want {
			t.Errorf("step %d: lists %s, want %s", i, got, step.want)
		}
	}
	if len(state.Left) != 0 {
		t.Errorf("left: %v, and it is declared", state.Left)
	}
}

func TestURLAndRecipientFollowTheirDeclarations(t *testing.T) {
	before := fleet.Merge(fleet.State{}, fleet.Parse(files("f.yaml", documents(repositoryShop, application("a")))), "")
	moved := strings.Replace(repositoryShop, "git.example.com", "git.example.org", 1)
	held := fleet.Merge(before, fleet.Parse(files("f.yaml", documents(moved, application("a", "  typo: 1")))), recipient)
	d := held.Applications[0].Declaration
	if d.Source.URL != "https://git.example.org/shop.git" || d.Recipient != recipient {
		t.Errorf("held with %s and recipient %q", d.Source.URL, d.Recipient)
	}
	if old := before.Applications[0].Declaration; old.Recipient != "" {
		t.Error("Merge has changed the state that it was given")
	}
}

func TestWithoutMemoryTheListIsPartial(t *testing.T) {
	broken := fleet.Parse(files("f.yaml", documents(repositoryShop, application("a")), "g.yaml", "kind: ["))
	first := fleet.Merge(fleet.State{}, broken, "")
	if first.Complete {
		t.Error("complete, though nobody knows what g.yaml declared")
	}
	if second := fleet.Merge(first, broken, ""); second.Complete {
		t.Error("reading it again makes it complete")
	}
	repaired := fleet.Merge(first, fleet.Parse(files("f.yaml", documents(repositoryShop, application("a")), "g.yaml", application("g"))), "")
	if got := inForce(repaired); got != "a g" {
		t.Errorf("repaired: %s", got)
	}
	if again := fleet.Merge(repaired, broken, ""); inForce(again) != "a [g]" {
		t.Errorf("broken again, with memory: %s", inForce(again))
	}
}

func TestUnknownClusterIsEveryCluster(t *testing.T) {
	text := documents(repositoryShop, clusterEdge, application("a", "  cluster: edge", "  typo: 1"))
	lists := fleet.Merge(fleet.State{}, fleet.Parse(files("f.yaml", text)), "").Lists()
	for _, cluster := range []string{"local", "edge"} {
		want := []events.FleetEntry{{Application: "a", Held: true}}
		if diff := cmp.Diff(want, lists[cluster]); diff != "" {
			t.Errorf("%s, where it may have been before (-want +got):\n%s", cluster, diff)
		}
	}
	none := fleet.Merge(fleet.State{}, fleet.Parse(files("f.yaml", documents(repositoryShop, clusterEdge))), "")
	lists = fleet.Merge(none, fleet.Parse(files("f.yaml", text)), "").Lists()
	if len(lists["local"]) != 0 || len(lists["edge"]) != 1 {
		t.Errorf("with memory: %v; it is new, so it is on edge alone", lists)
	}
}

func TestListsSayWhatIsFollowed(t *testing.T) {
	commit := strings.Repeat("a", 40)
	source := func(name, ref string) string {
		return strings.Replace(application(name), "{repository: shop}", "{repository: shop"+ref+"}", 1)
	}
	valid := files("f.yaml", documents(repositoryShop, source("default", ""), source("branch", ", branch: next"),
		source("tag", ", tag: v1"), source("pinned", ", commit: "+commit), source("invalid", ", typo: 1")))
	s := fleet.Merge(fleet.State{}, fleet.Parse(valid), "")
	broken := fleet.Merge(s, fleet.Parse(files("f.yaml", documents(repositoryShop, source("branch", ", typo: 1")))), "")
	got := map[string]string{}
	for _, e := range append(s.Lists()["local"], broken.Lists()["local"]...) {
		got[fmt.Sprintf("%s %t", e.Application, e.Held)] = strings.TrimSpace(e.Repository + " " + e.Ref)
		if (e.DeclarationDigest == "") != (e.Repository == "") {
			t.Errorf("%+v", e)
		}
	}
	want := map[string]string{
		"default false": "shop refs/heads/main", "branch false": "shop refs/heads/next", "tag false": "shop refs/tags/v1",
		"pinned false": "shop " + commit, "invalid true": "", "branch true": "shop refs/heads/next",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDigest(t *testing.T) {
	digest := func(path, text string) string {
		s := fleet.Merge(fleet.State{}, fleet.Parse(files(path, documents(repositoryShop, text))), recipient)
		return fleet.Digest(*s.Applications[0].Declaration)
	}
	same := digest("a.yaml", application("a"))
	if got := digest("b/c.yaml", "# moved\n"+application("a")); got != same {
		t.Error("where it stands is in the digest")
	}
	if got := digest("a.yaml", application("a", "  cluster: local", "  converge: {timeout: 300s}")); got != same {
		t.Error("saying the defaults changes the digest")
	}
	for _, line := range []string{"  namespace: x", "  converge: {prune: false}", "  audit: {heal: false}", "  deletion: orphan"} {
		if digest("a.yaml", application("a", line)) == same {
			t.Errorf("%q is not in the digest", line)
		}
	}
}

func TestRejectionPayload(t *testing.T) {
	r := fleet.Rejection{Kind: "Application", Name: "a", File: "a.yaml"}
	for i := range 60 {
		r.Holds = append(r.Holds, fmt.Sprintf("app-%02d", i))
	}
	p := r.Payload("c0ffee")
	if len(p.Holds) != events.MaxInline || p.HeldCount != 60 || p.Commit != "c0ffee" {
		t.Errorf("%d of %d held, commit %s", len(p.Holds), p.HeldCount, p.Commit)
	}
	keys := map[string]bool{r.Key(): true}
	for _, other := range []fleet.Rejection{{File: "a.yaml"}, {Kind: "Cluster", Name: "a", File: "a.yaml"}, {Kind: "Application", Name: "a", File: "b.yaml"}} {
		if keys[other.Key()] {
			t.Errorf("%+v has another's key", other)
		}
		keys[other.Key()] = true
	}
}
