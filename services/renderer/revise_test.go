// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// renders is how many renders f takes.
func (l *lab) renders(f func()) int64 {
	before := l.renderer.pool.renders.Load()
	f()
	return l.renderer.pool.renders.Load() - before
}

func TestOnlyWhatIsReadCounts(t *testing.T) {
	l := newLab(t)
	l.start()
	d := l.app("web", "web")
	base := map[string]string{
		"web/a.yaml": configMap("a", "x"), "web/README.md": "one", "other/b.yaml": configMap("b", "x"),
	}
	first := as[*events.ManifestsRendered](t, l.outcome(l.push(d, base)))
	for _, c := range []struct {
		name    string
		files   map[string]string
		renders int64
	}{
		{"nothing", base, 0},
		{"outside of its path", with(base, map[string]string{"other/b.yaml": configMap("b", "y"), "new/c.yaml": "x"}), 0},
		{"under its path, but not read", with(base, map[string]string{"web/README.md": "two"}), 0},
		{"a file that holds nothing", with(base, map[string]string{"web/empty.yaml": "# nothing"}), 1},
		{"a comment", with(base, map[string]string{"web/a.yaml": configMap("a", "x") + "# comment\n"}), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e events.Event
			n := l.renders(func() { e = l.outcome(l.push(d, c.files)) })
			m := as[*events.ManifestsUnchanged](t, e)
			if m.Digest != first.Digest || m.Bundle != first.Bundle || m.Rendered != (c.renders > 0) || n != c.renders {
				t.Errorf("%d renders; %+v", n, m)
			}
			if m.Objects.Items[0].Since.Commit != first.Revision.Commit {
				t.Errorf("since %+v", m.Objects.Items[0].Since)
			}
		})
	}
}

func TestWhatIsReadFromElsewhereCounts(t *testing.T) {
	l := newLab(t)
	l.start()
	d := l.app("web", "web")
	base := map[string]string{
		"web/kustomization.yaml": "resources: [../base]\n", "base/kustomization.yaml": "resources: [a.yaml]\n",
		"base/a.yaml": configMap("a", "x"), "base/b.yaml": configMap("b", "x"),
	}
	as[*events.ManifestsRendered](t, l.outcome(l.push(d, base)))
	var e events.Event
	if n := l.renders(func() { e = l.outcome(l.push(d, with(base, map[string]string{"base/b.yaml": configMap("b", "y")}))) }); n != 0 {
		t.Errorf("%d renders for a file that no kustomization lists", n)
	}
	as[*events.ManifestsUnchanged](t, e)
	if n := l.renders(func() { e = l.outcome(l.push(d, with(base, map[string]string{"base/a.yaml": configMap("a", "y")}))) }); n != 1 {
		t.Errorf("%d renders", n)
	}
	as[*events.ManifestsRendered](t, e)
	// A file that was looked for and was not there is part of what was read.
	if n := l.renders(func() {
		e = l.outcome(l.push(d, with(base, map[string]string{"base/a.yaml": configMap("a", "y"), "base/Kustomization": "resources: [b.yaml]\n"})))
	}); n != 1 {
		t.Errorf("%d renders", n)
	}
	as[*events.RenderFailed](t, e)
}

func TestThereAndBackAgain(t *testing.T) {
	l := newLab(t)
	l.start()
	d := l.app("web", "web")
	a, b := map[string]string{"web/a.yaml": configMap("a", "x")}, map[string]string{"web/a.yaml": configMap("a", "y")}
	first := as[*events.ManifestsRendered](t, l.outcome(l.push(d, a)))
	second := as[*events.ManifestsRendered](t, l.outcome(l.push(d, b)))
	var e events.Event
	n := l.renders(func() { e = l.outcome(l.push(d, a)) })
	third := as[*events.ManifestsRendered](t, e)
	if n != 0 || !third.Cached || third.Digest != first.Digest || third.Bundle != first.Bundle || second.Digest == first.Digest {
		t.Errorf("%d renders; %+v", n, third)
	}
	if third.Objects.Items[0].Since.Commit != third.Revision.Commit {
		t.Errorf("the object changed in %+v", third.Objects.Items[0].Since)
	}
	l.stop()
	l.start()
	// Nothing is remembered: the render tells.
	fourth := as[*events.ManifestsUnchanged](t, l.outcome(l.push(d, a)))
	if !fourth.Rendered || fourth.Bundle != first.Bundle {
		t.Errorf("after a restart: %+v", fourth)
	}
}

func TestFailureAndRecovery(t *testing.T) {
	l := newLab(t)
	l.start()
	d := l.app("web", "web")
	good := map[string]string{"web/a.yaml": configMap("a", "x")}
	bad := map[string]string{"web/a.yaml": "a: b: c\n"}
	first := as[*events.ManifestsRendered](t, l.outcome(l.push(d, good)))
	failed := l.outcome(l.push(d, bad))
	f := as[*events.RenderFailed](t, failed)
	if f.Reason != events.ReasonSyntax || f.File != "web/a.yaml" || f.Line != 1 || f.Message == "" {
		t.Errorf("failure %+v", f)
	}
	var again events.Event
	if n := l.renders(func() { again = l.outcome(l.push(d, with(bad, map[string]string{"README": "x"}))) }); n != 0 {
		t.Errorf("%d renders of what is known to fail", n)
	}
	as[*events.RenderFailed](t, again)
	m := as[*events.ManifestsRendered](t, l.outcome(l.push(d, good)))
	if m.RecoveredFrom != again.Sequence || m.Digest != first.Digest || !m.Cached {
		t.Errorf("recovery %+v", m)
	}
	if m.Objects.Items[0].Since.Commit != first.Revision.Commit {
		t.Errorf("since %+v", m.Objects.Items[0].Since)
	}
}

func TestParametersCount(t *testing.T) {
	l := newLab(t)
	l.start()
	d := l.app("web", "web")
	files := map[string]string{"web/a.yaml": configMap("a", "x"), "web/s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: hunter2}\n"}
	first := as[*events.ManifestsRendered](t, l.outcome(l.push(d, files)))
	d.Converge.Prune = false
	policy := as[*events.ManifestsUnchanged](t, l.outcome(l.push(d, files)))
	if policy.Rendered || policy.Declaration.Converge.Prune {
		t.Errorf("%+v", policy)
	}
	other := newLab(t)
	d.Recipient = other.recipient.String()
	resealed := as[*events.ManifestsUnchanged](t, l.outcome(l.push(d, files)))
	if resealed.Digest != first.Digest || resealed.Bundle == first.Bundle {
		t.Errorf("a new recipient can't open %+v", resealed)
	}
	d.Namespace = "elsewhere"
	moved := as[*events.ManifestsRendered](t, l.outcome(l.push(d, files)))
	if moved.Digest == first.Digest || l.bundle(moved.Bundle).Namespace != "elsewhere" {
		t.Errorf("%+v", moved)
	}
}

func TestLatestWins(t *testing.T) {
	l := newLab(t)
	d := l.app("web", "web")
	var last events.Event
	for i := range 50 {
		last = l.push(d, map[string]string{"web/a.yaml": configMap("a", fmt.Sprint(i))})
	}
	l.start()
	e := l.outcome(last)
	as[*events.ManifestsRendered](t, e)
	if n := l.renderer.pool.renders.Load(); n != 1 {
		t.Errorf("%d renders for a train of 50 commits", n)
	}
}

func TestOneTreeIsDecodedOnceForAllApplications(t *testing.T) {
	l := newLab(t)
	l.start()
	files := map[string]string{}
	for i := range 20 {
		files[fmt.Sprintf("app%d/a.yaml", i)] = configMap("a", fmt.Sprint(i))
	}
	repo := newRepo(t)
	tree := repo.tree(files).String()
	source := l.source(repo, tree)
	var all []events.Event
	for i := range 20 {
		all = append(all, l.announce(l.app(fmt.Sprintf("app%d", i), fmt.Sprintf("app%d", i)), tree, source))
	}
	for _, in := range all {
		as[*events.ManifestsRendered](t, l.outcome(in))
	}
	if n := l.renderer.pool.started.Load(); n > 2 {
		t.Errorf("%d children", n)
	}
	if n := l.renderer.sources.fetched.Load(); n != 1 {
		t.Errorf("decoded %d times", n)
	}
}

func TestManyObjectsTravelAsABlob(t *testing.T) {
	l := newLab(t)
	l.start()
	d := l.app("web", "web")
	var all strings.Builder
	for i := range 120 {
		all.WriteString("---\n" + configMap(fmt.Sprintf("c%03d", i), "x"))
	}
	files := map[string]string{"web/a.yaml": all.String()}
	m := as[*events.ManifestsRendered](t, l.outcome(l.push(d, files)))
	if m.Objects.Count != 120 || m.Objects.Items != nil || m.Objects.Blob == nil {
		t.Fatalf("%+v", m.Objects)
	}
	files["web/a.yaml"] = strings.Replace(all.String(), "{v: x}", "{v: y}", 1)
	again := as[*events.ManifestsRendered](t, l.outcome(l.push(d, files)))
	list, err := l.renderer.objects(t.Context(), &again.Manifests)
	if err != nil || len(list) != 120 {
		t.Fatal(len(list), err)
	}
	if list[0].Since.Commit != again.Revision.Commit || list[1].Since.Commit != m.Revision.Commit {
		t.Errorf("since %+v, %+v", list[0].Since, list[1].Since)
	}
}

// missed publishes a commit whose message is taken by a handler that does
// nothing, as if it had been lost.
func (l *lab) missed(d events.Declaration, files map[string]string) events.Event {
	l.t.Helper()
	conn := l.server.Connect(l.t, "renderer")
	taken := make(chan struct{}, 1)
	stop := bustest.Run(l.t, conn.Consumer("renderer", func(context.Context, events.Event) ([]events.Draft, error) {
		taken <- struct{}{}
		return nil, nil
	}, bus.Options{}))
	in := l.push(d, files)
	<-taken
	l.server.Idle(l.t, "renderer")
	stop()
	return in
}

func TestTheLevelIsReadAgain(t *testing.T) {
	for name, wake := range map[string]func(*lab){
		"at the start": func(l *lab) { l.start() },
		"on sync.requested for everything": func(l *lab) {
			bustest.Run(l.t, l.make(testLimits).consumer)
			l.sync("")
		},
		"on sync.requested for it": func(l *lab) {
			bustest.Run(l.t, l.make(testLimits).consumer)
			l.sync("web")
		},
		"on fleet.observed": func(l *lab) {
			bustest.Run(l.t, l.make(testLimits).consumer)
			_, err := l.watcher.Publish(l.t.Context(), events.Cause{ID: "fleet"}, events.Draft{
				Data: &events.FleetObserved{URL: "x", Path: ".", Commit: strings.Repeat("0", 40)}, Address: events.Address{Cluster: "local"},
			})
			if err != nil {
				l.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			in := l.missed(l.app("web", "web"), map[string]string{"web/a.yaml": configMap("a", "x")})
			wake(l)
			as[*events.ManifestsRendered](t, l.outcome(in))
		})
	}
}

func (l *lab) sync(app string) {
	l.t.Helper()
	operator := l.server.Connect(l.t, "operator")
	if _, err := operator.Publish(l.t.Context(), events.Cause{ID: "sync"}, events.Draft{Data: &events.SyncRequested{By: "test"}, Address: events.Address{Application: app}}); err != nil {
		l.t.Fatal(err)
	}
}

func TestAResyncTriesAFailureAgain(t *testing.T) {
	l := newLab(t)
	right := l.key
	wrong, err := seal.NewSourceKey(bytes.Repeat([]byte{8}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	l.key = wrong
	l.start()
	l.key = right
	in := l.push(l.app("web", "web"), map[string]string{"web/a.yaml": configMap("a", "x")})
	failed := l.outcome(in)
	if f := as[*events.RenderFailed](t, failed); f.Reason != events.ReasonIntegrity || !strings.Contains(f.Message, "--source-key") {
		t.Errorf("%+v", f)
	}
	drafts, err := l.renderer.revise(t.Context(), in, true)
	if err != nil || len(drafts) != 0 {
		t.Errorf("the same failure is said twice: %+v, %v", drafts, err)
	}
	l.stop()
	l.start()
	bustest.Eventually(t, "a recovery", func() bool { e, _ := l.last(in.Address); return e.Type == typeRendered })
	e, _ := l.last(in.Address)
	if m := as[*events.ManifestsRendered](t, e); m.RecoveredFrom != in.Sequence || e.Sequence != in.Sequence {
		t.Errorf("%+v", m)
	}
}

func TestACountedOutRevisionFails(t *testing.T) {
	r := &renderer{}
	in := events.Event{Address: events.Address{Cluster: "local", Application: "web"}, Data: &events.CommitObserved{}}
	drafts := r.failed(in, events.ReasonQuarantined, "message")
	if len(drafts) != 1 || drafts[0].Address != in.Address || drafts[0].Data.(*events.RenderFailed).Reason != events.ReasonQuarantined {
		t.Errorf("%+v", drafts)
	}
	if drafts := r.failed(events.Event{Data: &events.SyncRequested{}}, events.ReasonQuarantined, ""); drafts != nil {
		t.Errorf("%+v", drafts)
	}
}

func TestALostBundleIsStoredAgain(t *testing.T) {
	l := newLab(t)
	l.start()
	files := map[string]string{"web/s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: x}\n"}
	in := l.push(l.app("web", "web"), files)
	first := as[*events.ManifestsRendered](t, l.outcome(in))
	blobs, err := l.server.JetStream(t).Stream(t.Context(), "BLOBS")
	if err != nil {
		t.Fatal(err)
	}
	if err := blobs.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.sync("web")
	bustest.Eventually(t, "another bundle", func() bool {
		e, _ := l.last(in.Address)
		m, ok := e.Data.(*events.ManifestsRendered)
		return ok && m.Bundle != first.Bundle
	})
	e, _ := l.last(in.Address)
	m := as[*events.ManifestsRendered](t, e)
	if m.Digest != first.Digest || e.Sequence != in.Sequence || l.bundle(m.Bundle).Digest() != m.Digest {
		t.Errorf("%+v", m)
	}
	drafts, err := l.renderer.revise(t.Context(), in, true)
	if err != nil || len(drafts) != 0 {
		t.Errorf("and again: %+v, %v", drafts, err)
	}
}
