// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// forged marks what comes from a note.
const forged = "from a note"

// begin starts a renderer and waits until its first look at the level has listed
// what there is: an outcome that comes of that leaves no note, nor does one that it
// finds to be due while its message is worked on.
func (l *lab) begin() {
	l.t.Helper()
	due := l.missed(l.app("first", "first"), map[string]string{"first/a.yaml": configMap("a", "x")})
	l.start()
	l.outcome(due) // which nothing else brings
}

// noted waits until a note of an outcome is there, and changes it.
func (l *lab) noted(out events.Event, change func(*note)) note {
	l.t.Helper()
	n := l.renderer.notes
	var found note
	bustest.Eventually(l.t, fmt.Sprintf("a note of revision %d", out.Sequence), func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		r, ok := n.byAddress[out.Address]
		if !ok || r.previous.order.Sequence != out.Sequence {
			return false
		}
		if change != nil {
			change(&r)
			n.byAddress[out.Address] = r
		}
		found = r
		return true
	})
	return found
}

// forge has a note tell something of an object that the log doesn't say.
func forge(n *note) {
	good := *n.good
	good.Objects.Items = slices.Clone(good.Objects.Items)
	good.Objects.Items[0].Since.Author = forged
	n.good = &good
}

func author(t *testing.T, e events.Event) string {
	t.Helper()
	return as[*events.ManifestsUnchanged](t, e).Objects.Items[0].Since.Author
}

// What is noted is what the log says, whatever an application has gone through.
func TestNotesSayWhatTheLogSays(t *testing.T) {
	l := newLab(t)
	l.begin()
	d := l.app("web", "web")
	a, b, broken := map[string]string{"web/a.yaml": configMap("a", "x")}, map[string]string{"web/a.yaml": configMap("a", "y")}, map[string]string{"web/a.yaml": "a: b: c"}
	steps := []map[string]string{a, with(a, map[string]string{"README": "1"}), b, a, broken, with(broken, map[string]string{"README": "2"}), a, b, broken, b, with(b, map[string]string{"README": "3"})}
	for i, files := range steps {
		in := l.push(d, files)
		got := l.noted(l.outcome(in), nil).view
		want, err := l.renderer.look(t.Context(), in, false)
		if err != nil {
			t.Fatal(err)
		}
		got.newest, got.whole = want.newest, want.whole
		if plain(t, got) != plain(t, want) {
			t.Fatalf("step %d: noted\n%s\nand the log says\n%s", i, plain(t, got), plain(t, want))
		}
	}
}

// plain is a view to be compared.
func plain(t *testing.T, v view) string {
	t.Helper()
	good, err := json.Marshal(v.good)
	if err != nil {
		t.Fatal(err)
	}
	failed := ""
	if v.previous.failed != nil {
		failed = v.previous.failed.Error()
	}
	v.previous.failed = nil
	return fmt.Sprintf("%+v %s\nstored %d, last %d %d %d\ngood %+v %s", v.previous, failed, v.stored, v.last[typeRendered], v.last[typeUnchanged], v.last[typeFailed], v.goodOrder, good)
}

// A note is believed as long as nothing can have come between, and no longer.
func TestNotesAreBelievedForATenure(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(t *testing.T, l *lab)
		forge   func(*note)
		believe bool
	}{
		"nothing comes between": {believe: true},
		"the connection is lost": {change: func(t *testing.T, l *lab) {
			l.server.Restart(t)
			bustest.Eventually(t, "the bus is back", func() bool { return l.renderer.conn.Connected() && l.watcher.Connected() && l.reader.Connected() })
		}},
		"it is of long ago":         {forge: func(n *note) { n.read = n.read.Add(-resyncEvery) }},
		"it is of another tenure":   {forge: func(n *note) { n.tenure = bus.Tenure{} }},
		"it is of another epoch":    {forge: func(n *note) { n.previous.order.Epoch = "another" }},
		"it is of a later revision": {forge: func(n *note) { n.previous.order.Sequence += 100 }},
		"the level was looked at":   {change: func(t *testing.T, l *lab) { l.again(t, "web") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.begin()
			d := l.app("web", "web")
			files := map[string]string{"web/a.yaml": configMap("a", "x")}
			first := l.outcome(l.push(d, files))
			l.noted(first, func(n *note) {
				forge(n)
				if c.forge != nil {
					c.forge(n)
				}
			})
			if c.change != nil {
				c.change(t, l)
			}
			got := author(t, l.outcome(l.push(d, with(files, map[string]string{"README": "2"}))))
			if (got == forged) != c.believe {
				t.Errorf("the object was changed by %q", got)
			}
			// Once it was asked for, it is noted again.
			l.server.Idle(t, "renderer")
			n := l.renderer.notes
			n.mu.Lock()
			_, noted := n.byAddress[first.Address]
			n.mu.Unlock()
			if !noted {
				t.Error("nothing is noted after an outcome")
			}
		})
	}
}

// again has the last revision of an application worked on as a resync does.
func (l *lab) again(t *testing.T, app string) {
	t.Helper()
	in, err := l.renderer.conn.Last(t.Context(), typeCommit.Subject(events.Address{Cluster: "local", Application: app}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.renderer.revise(t.Context(), in, true); err != nil {
		t.Fatal(err)
	}
}

// An outcome of another renderer, of whichever kind, is not overlooked.
func TestNotesMeetWhatAnotherRendererSaid(t *testing.T) {
	l := newLab(t)
	l.begin()
	d := l.app("web", "web")
	files := map[string]string{"web/a.yaml": configMap("a", "x")}
	in := l.push(d, files)
	l.noted(l.outcome(in), nil)
	in = l.push(d, with(files, map[string]string{"README": "2"}))
	out := l.outcome(in)
	l.noted(out, forge)
	// By its look at the level, which takes nothing from the consumer.
	other := &events.ManifestsRendered{Manifests: as[*events.ManifestsUnchanged](t, out).Manifests}
	other.Digest = "sha256:another"
	if _, err := l.connect(bustest.Log(t)).Publish(t.Context(), events.CauseOf(in), events.Draft{Address: in.Address, Data: other, Variant: "another"}); err != nil {
		t.Fatal(err)
	}
	got := as[*events.ManifestsRendered](t, l.outcome(l.push(d, with(files, map[string]string{"README": "3"}))))
	if who := got.Objects.Items[0].Since.Author; who == forged {
		t.Error("an outcome was decided by what is no longer the last one")
	}
}

// What failed leaves no note behind: the next input asks.
func TestWhatFailsLeavesNoNote(t *testing.T) {
	l := newLab(t)
	l.begin()
	d := l.app("web", "web")
	files := map[string]string{"web/a.yaml": configMap("a", "x")}
	l.noted(l.outcome(l.push(d, files)), func(n *note) {
		forge(n)
		n.last[typeUnchanged], n.last[typeRendered] = 1, 1 // as if another one were there now
	})
	for _, text := range []string{"2", "3"} {
		if got := author(t, l.outcome(l.push(d, with(files, map[string]string{"README": text})))); got == forged {
			t.Errorf("README %s: a note was believed that had led to a conflict", text)
		}
	}
}

// A bundle that is gone is missed as soon as a note is no longer believed.
func TestABundleThatIsGoneIsMadeAgain(t *testing.T) {
	l := newLab(t)
	l.begin()
	d := l.app("web", "web")
	files := map[string]string{"web/a.yaml": configMap("a", "x")}
	out := l.outcome(l.push(d, files))
	first := as[*events.ManifestsRendered](t, out)
	l.noted(out, func(n *note) { n.read = n.read.Add(-resyncEvery - time.Second) })
	stream, err := l.server.JetStream(t).Stream(t.Context(), "BLOBS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := as[*events.ManifestsUnchanged](t, l.outcome(l.push(d, with(files, map[string]string{"README": "2"}))))
	if !got.Rendered || got.Digest != first.Digest {
		t.Errorf("%+v", got)
	}
	l.bundle(got.Bundle)
}
