// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// lab is a bus, a watcher's hand on it, and a renderer.
type lab struct {
	t         testing.TB
	server    *bustest.Server
	watcher   *bus.Conn
	reader    *bus.Conn
	key       *seal.SourceKey
	identity  seal.Identity
	recipient seal.Recipient
	commits   int
	renderer  *renderer
	stop      func()
	log       *slog.Logger
}

func newLab(t testing.TB) *lab {
	t.Helper()
	return labOn(t, bustest.Start(t))
}

func labOn(t testing.TB, server *bustest.Server) *lab {
	t.Helper()
	l := &lab{t: t, server: server, key: sourceKey(t)}
	var err error
	if l.identity, l.recipient, err = seal.EnsureIdentity(filepath.Join(t.TempDir(), "identity")); err != nil {
		t.Fatal(err)
	}
	l.watcher = l.server.Connect(t, "watcher")
	l.reader = l.server.Connect(t, "applier-local")
	return l
}

func sourceKey(t testing.TB) *seal.SourceKey {
	t.Helper()
	k, err := seal.NewSourceKey(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// start runs a renderer until stop or the end of the test.
func (l *lab) start() {
	l.t.Helper()
	l.renderer = l.make(testLimits)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	r := l.renderer
	go func() { done <- r.run(ctx) }()
	stopped := false
	l.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			l.t.Errorf("renderer: %v", err)
		}
	}
	l.t.Cleanup(func() { l.stop() })
}

// make is a renderer that doesn't run yet.
func (l *lab) make(limits limits) *renderer {
	l.t.Helper()
	log := l.log
	if log == nil {
		log = bustest.Log(l.t)
	}
	s := settings{Config: Config{Workers: 2}, limits: limits, key: l.key}
	r := newRenderer(l.connect(log), s, process.Env{Version: "test", Log: log})
	l.t.Cleanup(r.pool.close)
	return r
}

// connect connects as the renderer.
func (l *lab) connect(log *slog.Logger) *bus.Conn {
	l.t.Helper()
	c, err := bus.Connect(l.t.Context(), l.server.Config("renderer"), log)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(c.Close)
	return c
}

// app is a declaration with every default.
func (l *lab) app(name, path string) events.Declaration {
	return events.Declaration{
		Application: name, Cluster: "local", Namespace: "shop", Recipient: l.recipient.String(),
		Source:   events.SourceSpec{Repository: "shop", Branch: "main", Path: path},
		Converge: events.Convergence{Mode: events.ModeAuto, Prune: true}, Deletion: events.DeletionDelete,
	}
}

// push publishes a commit of files for an application, as the watcher does.
func (l *lab) push(d events.Declaration, files map[string]string) events.Event {
	l.t.Helper()
	repo := newRepo(l.t)
	tree := repo.tree(files).String()
	return l.announce(d, tree, l.source(repo, tree))
}

// source stores the encrypted pack of a tree.
func (l *lab) source(repo *repo, tree string) events.Blob {
	l.t.Helper()
	_, sealed := l.key.EncryptSource(repo.pack())
	b, err := l.watcher.Blobs().PutNamed(l.t.Context(), "plumbline.blob.watcher.source."+l.key.Name(tree), sealed)
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

func (l *lab) announce(d events.Declaration, tree string, source events.Blob) events.Event {
	l.t.Helper()
	cause, draft := l.commit(d, tree, source)
	out, err := l.watcher.Publish(l.t.Context(), cause, draft)
	if err != nil {
		l.t.Fatal(err)
	}
	return out[0]
}

// commit is the next commit.observed.
func (l *lab) commit(d events.Declaration, tree string, source events.Blob) (events.Cause, events.Draft) {
	l.t.Helper()
	log, err := l.watcher.Log(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	l.commits++
	c := &events.CommitObserved{
		Revision: events.Revision{
			Commit: fmt.Sprintf("%040d", l.commits), Tree: tree, Ref: "refs/heads/main", Cause: "commit", Trigger: "poll",
			Author: events.Person{Name: fmt.Sprintf("author %d", l.commits), When: time.Unix(int64(l.commits), 0).UTC()},
		},
		Declaration: d, DeclarationDigest: "sha256:x", Source: source, FleetCommit: "f",
	}
	return events.Cause{ID: fmt.Sprintf("commit %d", l.commits), Order: events.Order{Epoch: log.Epoch}},
		events.Draft{Data: c, Address: events.Address{Cluster: d.Cluster, Application: d.Application}}
}

// outcome waits for the outcome of a revision.
func (l *lab) outcome(in events.Event) events.Event {
	l.t.Helper()
	var found events.Event
	bustest.Eventually(l.t, fmt.Sprintf("an outcome of revision %d", in.Sequence), func() bool {
		e, ok := l.last(in.Address)
		found = e
		return ok && e.Sequence == in.Sequence
	})
	return found
}

// last is the last stored outcome of an application.
func (l *lab) last(a events.Address) (events.Event, bool) {
	l.t.Helper()
	var last events.Event
	for _, t := range []*events.Type{typeRendered, typeUnchanged, typeFailed} {
		e, err := l.reader.Last(l.t.Context(), t.Subject(a))
		if err != nil && !errors.Is(err, bus.ErrNone) {
			l.t.Fatal(err)
		}
		if err == nil && e.Stored > last.Stored {
			last = e
		}
	}
	return last, last.Stored > 0
}

func (l *lab) bundle(b events.Blob) manifest.Bundle {
	l.t.Helper()
	data, err := l.reader.Blobs().Get(l.t.Context(), b)
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := manifest.Decode(data)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

func as[T events.Payload](t testing.TB, e events.Event) T {
	t.Helper()
	d, ok := e.Data.(T)
	if !ok {
		if f, failed := e.Data.(*events.RenderFailed); failed {
			t.Fatalf("render failed: %s %s:%d: %s", f.Reason, f.File, f.Line, f.Message)
		}
		t.Fatalf("outcome is %s", e.Type.Name())
	}
	return d
}

func with(files map[string]string, more map[string]string) map[string]string {
	out := maps.Clone(files)
	maps.Copy(out, more)
	return out
}

func TestACommitBecomesABundle(t *testing.T) {
	l := newLab(t)
	l.start()
	files := map[string]string{"web/a.yaml": configMap("a", "x") + "---\n" + configMap("b", "y")}
	e := l.outcome(l.push(l.app("web", "web"), files))
	m := as[*events.ManifestsRendered](t, e)
	b := l.bundle(m.Bundle)
	if b.Digest() != m.Digest || len(b.Objects) != 2 || b.Namespace != "shop" || m.Objects.Count != 2 || len(m.Objects.Items) != 2 {
		t.Fatalf("bundle %+v\nevent %+v", b, m)
	}
	second := m.Objects.Items[1]
	if second.Name != "b" || second.File != "web/a.yaml" || second.Line != 6 || second.Since.Commit != m.Revision.Commit || second.Since.Author != "author 1" || second.Since.Sequence != e.Sequence {
		t.Errorf("object %+v", second)
	}
}
