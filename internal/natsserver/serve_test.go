// SPDX-License-Identifier: Apache-2.0

package natsserver_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/natsserver"
	"github.com/plumbline-dev/plumbline/internal/provision"
)

// served is a bus under [natsserver.Serve].
type served struct {
	*natsserver.Server
	dir  string
	stop func()
}

func serve(t *testing.T, dir string) served {
	t.Helper()
	return serveAt(t, dir, -1)
}

// serveAt is serve on a port: clients of before come back to it.
func serveAt(t *testing.T, dir string, port int) served {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan *natsserver.Server, 1), make(chan error, 1)
	o := natsserver.Options{Dir: dir, Port: port, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	go func() { done <- natsserver.Serve(ctx, o, func(s *natsserver.Server) { ready <- s }) }()
	s := served{dir: dir}
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	t.Cleanup(s.stop)
	select {
	case s.Server = <-ready:
	case err := <-done:
		t.Fatalf("Serve: %v", err)
	case <-time.After(bustest.Timeout):
		t.Fatal("not ready")
	}
	return s
}

func (s served) connect(t *testing.T, user string) *bus.Conn {
	t.Helper()
	c, err := bus.Connect(t.Context(), bus.Config{URL: s.URL(), Creds: s.Creds(user), User: user}, bustest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func lookNow(t *testing.T, c *bus.Conn, cause string) events.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bustest.Timeout)
	defer cancel()
	published, err := c.Publish(ctx, events.Cause{ID: cause}, events.Draft{Data: &events.SyncRequested{By: "test"}, Address: events.Address{Application: "shop"}})
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	return published[0]
}

func epoch(t *testing.T, c *bus.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bustest.Timeout)
	defer cancel()
	l, err := c.Log(ctx)
	if err != nil {
		t.Fatalf("Log: %v", err)
	}
	return l.Epoch
}

// The store is taken away underneath the running server, in every way that was
// thought of; clients go on with a new log on the same address.
func TestStoreLostUnderneathARunningServer(t *testing.T) {
	for name, lose := range map[string]func(*testing.T, string){
		"removed": func(t *testing.T, store string) { remove(t, store) },
		"emptied": func(t *testing.T, store string) { empty(t, store) },
		"streams removed": func(t *testing.T, store string) {
			remove(t, filepath.Join(store, "PLUMBLINE"))
		},
		"log removed": func(t *testing.T, store string) {
			remove(t, filepath.Join(store, "PLUMBLINE", "streams", "EVENTS"))
		},
		"log's blocks removed": func(t *testing.T, store string) {
			empty(t, filepath.Join(store, "PLUMBLINE", "streams", "EVENTS", "msgs"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, filepath.Join(t.TempDir(), "nats"))
			operator, watcher := s.connect(t, "operator"), s.connect(t, "watcher")
			before := epoch(t, operator)
			consumed := read(t, watcher)
			for _, cause := range []string{"a", "b", "c"} {
				consumed.until(t, lookNow(t, operator, cause))
			}
			lose(t, s.Store())
			bustest.Eventually(t, "the log has a new epoch", func() bool { return epoch(t, operator) != before })
			d := lookNow(t, operator, "d")
			if d.Epoch == before {
				t.Errorf("published under the old epoch")
			}
			if _, err := watcher.Blobs().Put(t.Context(), "plumbline.blob.watcher.source", []byte("tree")); err != nil {
				t.Errorf("blobs don't work: %v", err)
			}
			consumed.until(t, d)
		})
	}
}

func TestStoreLostWhileStopped(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nats")
	s := serve(t, dir)
	operator := s.connect(t, "operator")
	before := epoch(t, operator)
	lookNow(t, operator, "a")
	s.stop()
	remove(t, s.Store())
	if after := epoch(t, serve(t, dir).connect(t, "operator")); after == before {
		t.Error("a lost log came back under the old epoch")
	}
}

func TestRestartKeepsTheLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nats")
	s := serve(t, dir)
	operator := s.connect(t, "operator")
	before := epoch(t, operator)
	want := lookNow(t, operator, "a")
	s.stop()
	operator = serve(t, dir).connect(t, "operator")
	if after := epoch(t, operator); after != before {
		t.Errorf("epoch %s became %s", before, after)
	}
	if e, err := operator.Last(t.Context(), want.Type.Subject(want.Address)); err != nil || e.ID != want.ID {
		t.Errorf("Last = %v, %v", e.ID, err)
	}
}

// A log that was put back from a backup gives out places a second time: it
// gets a new epoch.
func TestRestoredBackupTurnsTheEpoch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nats")
	s := serve(t, dir)
	operator := s.connect(t, "operator")
	before := epoch(t, operator)
	lookNow(t, operator, "a")
	s.stop()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(s.Store())); err != nil {
		t.Fatal(err)
	}
	s = serve(t, dir)
	operator = s.connect(t, "operator")
	lookNow(t, operator, "b")
	s.stop()
	remove(t, s.Store())
	if err := os.CopyFS(s.Store(), os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	s = serve(t, dir)
	operator = s.connect(t, "operator")
	l, err := operator.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if l.Epoch == before || l.Last != 1 {
		t.Errorf("Log = %+v, want one event and another epoch than %s", l, before)
	}
	mark, err := provision.ReadMark(filepath.Join(dir, "seen.json"))
	if err != nil || mark.Epoch != l.Epoch {
		t.Errorf("seen = %+v, %v", mark, err)
	}
}

// A server that was killed has not noted how far its log was. A service that was
// told that an event is stored knows it, and says so when it comes back.
func TestServicesKnowThatABackupIsOlder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nats")
	s := serve(t, dir)
	watcher := s.connect(t, "watcher")
	observe := func(app string) {
		t.Helper()
		d := events.Draft{Data: &events.CommitObserved{Declaration: events.Declaration{Application: app, Cluster: "local"}}, Address: events.Address{Cluster: "local", Application: app}}
		if _, err := watcher.Publish(t.Context(), events.Cause{ID: app}, d); err != nil {
			t.Fatal(err)
		}
	}
	before := epoch(t, watcher)
	observe("a")
	port := s.Port()
	s.stop()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}

	s = serveAt(t, dir, port)
	observe("b")
	if after := epoch(t, watcher); after != before {
		t.Fatal("the same log has a new epoch")
	}
	s.stop()
	remove(t, dir)
	if err := os.CopyFS(dir, os.DirFS(backup)); err != nil { // with the mark of then
		t.Fatal(err)
	}
	s = serveAt(t, dir, port)
	bustest.Eventually(t, "the log has a new epoch", func() bool { return epoch(t, watcher) != before })
	after := epoch(t, watcher)
	observe("b")
	s.stop()
	serveAt(t, dir, port)
	if again := epoch(t, watcher); again != after {
		t.Error("it turns at each return")
	}
}

// People publish with any client: what has no id of a message is no other event
// than the one that was seen.
func TestAMessageWithoutAnIDIsTakenForItself(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "nats"))
	watcher := s.connect(t, "watcher")
	before := epoch(t, watcher)
	arrived := make(chan string, 8)
	bustest.Run(t, watcher.Consumer("watcher", func(_ context.Context, in events.Event) ([]events.Draft, error) {
		arrived <- in.ID
		return nil, nil
	}, bus.Options{}))
	said := lookNow(t, s.connect(t, "operator"), "a")
	nc, err := bus.Dial(t.Context(), bus.Config{URL: s.URL(), Creds: s.Creds("operator"), User: "operator"}, bustest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	said.ID += "-by-hand"
	headers, body, err := events.Encode(said)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.RequestMsg(&nats.Msg{Subject: said.Type.Subject(said.Address), Header: headers, Data: body}, bustest.Timeout); err != nil {
		t.Fatal(err)
	}
	for id := ""; id != said.ID; {
		select {
		case id = <-arrived:
		case <-time.After(bustest.Timeout):
			t.Fatal("it does not arrive")
		}
	}
	port, dir := s.Port(), s.dir
	s.stop()
	s = serveAt(t, dir, port)
	js, done, err := provision.Connect(t.Context(), s.URL(), s.Creds(provision.User), bustest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	bustest.Eventually(t, "the watcher says what it has seen", func() bool {
		heard, err := provision.Testimony(t.Context(), js)
		return err == nil && heard > 0
	})
	r, err := provision.Apply(t.Context(), js, provision.Options{Clusters: []string{"local"}})
	if err != nil || r.Restored || r.Log.Epoch != before {
		t.Errorf("%+v, %v; the epoch was %s", r, err, before)
	}
}

// A mark that can't be read doesn't stop the bus: it counts as none, in the safe
// way.
func TestABrokenMarkTurnsTheEpoch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nats")
	s := serve(t, dir)
	before := epoch(t, s.connect(t, "operator"))
	s.stop()
	if err := os.WriteFile(filepath.Join(dir, "seen.json"), []byte("{\"epoch"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = serve(t, dir)
	after := epoch(t, s.connect(t, "operator"))
	if after == before {
		t.Error("the epoch is the same")
	}
	s.stop()
	if again := epoch(t, serve(t, dir).connect(t, "operator")); again != after {
		t.Error("it turns at each start")
	}
}

func TestKeysAreMadeOnceAndPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nats")
	o := natsserver.Options{Dir: dir}
	if err := natsserver.Configure(o); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "keys", "applier-local.nk")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v", info.Mode(), err)
	}
	o.Clusters = []string{"local", "eu1"}
	if err := natsserver.Configure(o); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Error("the key was made again")
	}
	if _, err := os.Stat(filepath.Join(dir, "keys", "applier-eu1.nk")); err != nil {
		t.Error(err)
	}
}

// remove takes a folder away, as often as it comes back: a running server
// writes meanwhile.
func remove(t *testing.T, dir string) {
	t.Helper()
	for range 100 {
		if err := os.RemoveAll(dir); err == nil {
			return
		}
	}
	t.Fatalf("%s can't be removed", dir)
}

func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		remove(t, filepath.Join(dir, e.Name()))
	}
}
