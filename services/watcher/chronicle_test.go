// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fleet"
)

// saidOf is a revision of an application under its nth declaration.
func saidOf(application, commit string, n int) saying {
	d := events.Declaration{Application: application, Cluster: "local", Namespace: fmt.Sprint("n", n), Source: events.SourceSpec{Repository: "shop"}}
	return saying{typeObserved.Subject(local(application)), past{Commit: commit, Digest: fleet.Digest(d), FleetCommit: "f", Declaration: &d}}
}

// outcomeOf is what the renderer says of a revision.
func outcomeOf(s saying, good bool) events.Event {
	r := events.Revision{Commit: s.past.Commit}
	e := events.Event{Address: local(s.past.Declaration.Application), Data: &events.RenderFailed{Revision: r, Declaration: *s.past.Declaration}}
	if good {
		e.Data = &events.ManifestsRendered{Manifests: events.Manifests{Revision: r, Declaration: *s.past.Declaration, DeclarationDigest: s.past.Digest}}
	}
	return e
}

func (c *chronicle) of(application string) string {
	var all []string
	for _, p := range c.bySaid[typeObserved.Subject(local(application))] {
		text := p.Commit
		if p.Good {
			text += "!"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func open(t *testing.T, dir string) *chronicle {
	t.Helper()
	c, err := openChronicle(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func say(t *testing.T, c *chronicle, all ...saying) {
	t.Helper()
	if err := c.say(all); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsWrittenOfRevisions(t *testing.T) {
	c := open(t, t.TempDir())
	a, b, d := saidOf("web", "A", 1), saidOf("web", "B", 1), saidOf("web", "B", 2)
	step := func(what, want string) {
		t.Helper()
		if got := c.of("web"); got != want {
			t.Fatalf("%s: %q, want %q", what, got, want)
		}
	}
	say(t, c, a, a)
	step("said", "A")
	c.take(outcomeOf(a, true))
	step("rendered", "A!")
	say(t, c, b)
	say(t, c, d)
	step("another, and another declaration of it", "A! B B")
	if got := c.before(b.subject, "B", d.past.Digest); len(got) != 2 || got[0].Digest != b.past.Digest || got[1].Commit != "A" {
		t.Errorf("before the tip are %v", got)
	}
	c.take(outcomeOf(b, false))
	step("one is broken", "A! B")
	c.take(outcomeOf(a, false))
	step("what could be rendered once can't now", "A! B")
	if c.settled(d.subject, "B", d.past.Digest) {
		t.Error("it is known what became of a revision that has no outcome")
	}
	c.take(outcomeOf(d, true))
	step("the other is in force", "B!")
	if !c.settled(d.subject, "B", d.past.Digest) || c.settled(b.subject, "B", b.past.Digest) {
		t.Error("it isn't known which revision is in force")
	}
	c.take(outcomeOf(saidOf("web", "C", 2), true))
	step("another watcher's", "C!")
	for i := range 40 {
		say(t, c, saidOf("web", fmt.Sprint(i), 2))
	}
	if got := c.of("web"); !strings.HasPrefix(got, "C! 25 ") || !strings.HasSuffix(got, " 39") || len(strings.Fields(got)) != maxPast {
		t.Errorf("of many there are %q", got)
	}
	keep := func(complete bool, names ...string) {
		t.Helper()
		subjects := map[string]bool{}
		for _, name := range names {
			subjects[saidOf(name, "A", 1).subject] = true
		}
		if err := c.keep(subjects, complete); err != nil {
			t.Fatal(err)
		}
	}
	keep(true, "api")
	c.take(outcomeOf(a, true)) // late
	step("no longer declared", "")
	keep(false, "web")
	say(t, c, a, saidOf("api", "A", 1))
	step("declared again, among what can't all be read", "A")
	if got := c.of("api"); got != "A" {
		t.Errorf("of what may be declared yet there is %q", got)
	}
}

// Whatever is said and becomes known, and wherever the process is killed, the
// next one knows all that was said, and of outcomes what was written.
func TestAChronicleOutlivesItsProcess(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 3))
		dir := t.TempDir()
		c := open(t, dir)
		for i := range 60 {
			s := saidOf(fmt.Sprint("app-", random.IntN(3)), fmt.Sprint(i), random.IntN(2))
			say(t, c, s, saidOf("other", fmt.Sprint(i), 1))
			if random.IntN(2) == 0 {
				c.take(outcomeOf(s, random.IntN(2) == 0))
			}
			switch random.IntN(6) {
			case 0: // killed: what became of some isn't written
				for subject := range c.dirty {
					delete(c.bySaid, subject)
				}
				again := open(t, dir)
				for subject, list := range c.bySaid {
					if !reflect.DeepEqual(list, again.bySaid[subject]) {
						t.Fatalf("seed %d: %s", seed, cmp.Diff(list, again.bySaid[subject]))
					}
				}
				c = again
			case 1: // with its last line half written
				if err := c.flush(); err != nil {
					t.Fatal(err)
				}
				if _, err := c.journal.file.WriteString(`{"subject":"plumbline.v1.commit.obs`); err != nil {
					t.Fatal(err)
				}
				again := open(t, dir)
				if !reflect.DeepEqual(c.bySaid, again.bySaid) {
					t.Fatalf("seed %d: %s", seed, cmp.Diff(c.bySaid, again.bySaid))
				}
				c = again
			case 2: // in good order
				if err := c.close(); err != nil {
					t.Fatal(err)
				}
				again := open(t, dir)
				if !reflect.DeepEqual(c.bySaid, again.bySaid) {
					t.Fatalf("seed %d: %s", seed, cmp.Diff(c.bySaid, again.bySaid))
				}
				c = again
			}
		}
	}
}

// A journal doesn't grow with what is said, and a damaged one is none.
func TestAJournalIsWrittenAnew(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	for i := 0; c.journal.base == 0; i++ {
		if i > 50_000 {
			t.Fatal("it is never written anew")
		}
		s := saidOf("web", fmt.Sprint(i), 1)
		say(t, c, s)
		c.take(outcomeOf(s, true))
	}
	if c.journal.size > 1<<20 {
		t.Errorf("it has %d bytes", c.journal.size)
	}
	if err := os.WriteFile(filepath.Join(dir, journalFile), []byte("\x00{}\n{\"subject\":\"x\",\"past\":[{\"commit\":\"A\"}]}\n[1]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c = open(t, dir); len(c.bySaid) != 0 {
		t.Errorf("a damaged one says %v", c.bySaid)
	}
}

func BenchmarkSayAHundred(b *testing.B) {
	c, err := openChronicle(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		var all []saying
		for app := range 100 {
			all = append(all, saidOf(fmt.Sprint("app-", app), fmt.Sprint(i), 1))
		}
		for some := range slices.Chunk(all, atOnce) {
			if err := c.say(some); err != nil {
				b.Fatal(err)
			}
		}
		for _, s := range all {
			c.take(outcomeOf(s, true))
		}
	}
}
