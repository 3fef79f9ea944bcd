// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// unsound are outcomes that name something which nobody can apply.
var unsound = map[string]func(m, other *events.Manifests){
	"a digest that is none":          func(m, _ *events.Manifests) { m.Digest = "sha256:" + strings.Repeat("1", 64) },
	"a body that is none":            func(m, _ *events.Manifests) { m.Bundle.Digest = "sha256:" + strings.Repeat("3", 64) },
	"a body that isn't there":        func(m, _ *events.Manifests) { m.Bundle.Name += "0" },
	"the bundle of another":          func(m, other *events.Manifests) { m.Bundle = other.Bundle },
	"a body under no name":           func(m, _ *events.Manifests) { m.Bundle.Name = "x" },
	"a body of another service":      func(m, _ *events.Manifests) { m.Bundle.Name = "plumbline.blob.applier.local.0" },
	"a list of objects that is none": func(m, _ *events.Manifests) { m.Objects = events.DeclaredObjects{Count: 1, Blob: &m.Bundle} },
	"a list of objects under no name": func(m, _ *events.Manifests) {
		m.Objects = events.DeclaredObjects{Count: 1, Blob: &events.Blob{Name: "x"}}
	},
}

// An outcome that nobody could have made of the revision, whoever has published
// it, is put right by the next look at the level, and holds up no other
// application.
func TestAnUnsoundOutcomeIsPutRight(t *testing.T) {
	for name, change := range unsound {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.start()
			other := as[*events.ManifestsRendered](t, l.outcome(l.push(l.app("other", "other"), map[string]string{"other/b.yaml": configMap("b", "x")})))
			in := l.push(l.app("web", "web"), map[string]string{"web/a.yaml": configMap("a", "x")})
			first := as[*events.ManifestsRendered](t, l.outcome(in))
			bad := *first
			change(&bad.Manifests, &other.Manifests)
			l.say(in, &bad)
			l.sync("")
			l.rightAgain(in, first)
		})
	}
}

// What follows it is right too, though nothing was looked at in between and
// nothing is remembered.
func TestARevisionAfterAnUnsoundOutcome(t *testing.T) {
	for name, change := range unsound {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.start()
			other := as[*events.ManifestsRendered](t, l.outcome(l.push(l.app("other", "other"), map[string]string{"other/b.yaml": configMap("b", "x")})))
			files := map[string]string{"web/a.yaml": configMap("a", "x")}
			in := l.push(l.app("web", "web"), files)
			first := as[*events.ManifestsRendered](t, l.outcome(in))
			l.stop()
			bad := *first
			change(&bad.Manifests, &other.Manifests)
			l.say(in, &bad)
			next := l.push(l.app("web", "web"), with(files, map[string]string{"README": "2"}))
			l.start()
			l.rightAgain(next, first)
		})
	}
}

// say publishes another outcome of a revision, as whoever has the renderer's
// key can.
func (l *lab) say(in events.Event, p events.Payload) {
	l.t.Helper()
	if _, err := l.server.Connect(l.t, "renderer").Publish(l.t.Context(), events.CauseOf(in), events.Draft{Address: in.Address, Data: p, Variant: "forged"}); err != nil {
		l.t.Fatal(err)
	}
}

// rightAgain waits until the last outcome is of a revision and names what was
// made of it first.
func (l *lab) rightAgain(in events.Event, first *events.ManifestsRendered) {
	l.t.Helper()
	bustest.Eventually(l.t, "an outcome that can be applied", func() bool {
		e, ok := l.last(in.Address)
		if !ok || e.Sequence != in.Sequence {
			return false
		}
		var m events.Manifests
		switch p := e.Data.(type) {
		case *events.ManifestsRendered:
			m = p.Manifests
		case *events.ManifestsUnchanged:
			m = p.Manifests
		}
		return m.Digest == first.Digest && m.Bundle == first.Bundle && m.Objects.Count == 1 && m.Objects.Blob == nil
	})
}
