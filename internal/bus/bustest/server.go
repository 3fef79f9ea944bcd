// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/natsserver"
	"github.com/plumbline-dev/plumbline/internal/provision"
)

// Server is a provisioned bus.
type Server struct {
	options natsserver.Options
	server  *natsserver.Server
	mu      sync.Mutex
	reader  *bus.Conn // of Events, which tests ask again and again; nil: not connected
}

// Start starts a bus for clusters, default local, and stops it at the end of
// the test.
func Start(tb testing.TB, clusters ...string) *Server {
	tb.Helper()
	if len(clusters) == 0 {
		clusters = []string{"local"}
	}
	return StartWith(tb, natsserver.Options{Clusters: clusters})
}

// StartWith is [Start] with options of the server; folder, port and log are
// chosen here.
func StartWith(tb testing.TB, o natsserver.Options) *Server {
	tb.Helper()
	o.Dir, o.Port, o.Log = filepath.Join(tb.TempDir(), "nats"), -1, Log(tb)
	s := &Server{options: o}
	s.Up(tb)
	tb.Cleanup(func() { s.Down(tb) })
	return s
}

// Up starts the server, if it is down, on the address that it had before, and
// provisions it.
func (s *Server) Up(tb testing.TB) {
	tb.Helper()
	if s.server != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	// What has no listener for a moment another connection may take for its own
	// end, as one that looks for the server there does: see [natsserver.Serve].
	var err error
	Eventually(tb, "the server's address is free", func() bool {
		s.server, err = natsserver.Start(ctx, s.options)
		return !errors.Is(err, syscall.EADDRINUSE)
	})
	if err != nil {
		tb.Fatal(err)
	}
	s.options.Port = s.server.Port()
	s.Provision(tb)
}

// Provision makes the streams and consumers what the files say.
func (s *Server) Provision(tb testing.TB) provision.Report {
	tb.Helper()
	nc := s.Dial(tb, "provisioner")
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	report, err := provision.Apply(ctx, js, provision.Options{Clusters: s.options.Clusters})
	if err != nil {
		tb.Fatal(err)
	}
	return report
}

// JetStream is a connection of the provisioner, which may look at streams and
// consumers and change them.
func (s *Server) JetStream(tb testing.TB) jetstream.JetStream {
	tb.Helper()
	js, err := jetstream.New(s.Dial(tb, "provisioner"))
	if err != nil {
		tb.Fatal(err)
	}
	return js
}

// Backoff replaces the back-off list of a consumer, before it runs: tests
// don't have the time that people have.
func (s *Server) Backoff(tb testing.TB, consumer string, list ...time.Duration) {
	tb.Helper()
	js := s.JetStream(tb)
	c, err := js.Consumer(tb.Context(), natsconfig.StreamEvents, consumer)
	if err != nil {
		tb.Fatal(err)
	}
	config := c.CachedInfo().Config
	config.BackOff, config.AckWait = list, list[0]
	if _, err := js.UpdateConsumer(tb.Context(), natsconfig.StreamEvents, config); err != nil {
		tb.Fatal(err)
	}
}

// Idle waits until a consumer has nothing more to do.
//
// The server counts what is pending a moment after it has confirmed that it is
// stored: so the log is asked whether it holds more than was delivered.
func (s *Server) Idle(tb testing.TB, consumer string) {
	tb.Helper()
	js, reader := s.JetStream(tb), s.Connect(tb, "reader")
	Eventually(tb, consumer+" has nothing more to do", func() bool {
		c, err := js.Consumer(tb.Context(), natsconfig.StreamEvents, consumer)
		if err != nil {
			tb.Fatal(err)
		}
		info := c.CachedInfo()
		if info.NumPending > 0 || info.NumAckPending > 0 {
			return false
		}
		for _, filter := range append(info.Config.FilterSubjects, info.Config.FilterSubject) {
			if filter != "" && s.holdsFrom(tb, reader, filter, info.Delivered.Stream+1) {
				return false
			}
		}
		return true
	})
}

// holdsFrom reports whether the log holds something on the subjects of a filter
// at a place or after it.
func (s *Server) holdsFrom(tb testing.TB, reader *bus.Conn, filter string, place uint64) bool {
	tb.Helper()
	found := errors.New("found")
	_, err := reader.Read(tb.Context(), bus.Range{Filter: filter, From: place}, func(bus.Record) error { return found })
	if err != nil && !errors.Is(err, found) {
		tb.Fatal(err)
	}
	return err != nil
}

// Events returns the events that lie in the log on the subjects that match a
// filter, in order; "" for all.
func (s *Server) Events(tb testing.TB, filter string) []events.Event {
	tb.Helper()
	reader, err := s.connected(tb.Context())
	if err != nil {
		tb.Fatalf("connect as reader: %v", err)
	}
	var all []events.Event
	_, err = reader.Read(tb.Context(), bus.Range{Filter: filter}, func(r bus.Record) error {
		if r.Err == nil {
			all = append(all, r.Event)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// connected is the connection of Events, of all tests that share the server.
func (s *Server) connected(ctx context.Context) (*bus.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader != nil {
		return s.reader, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var err error
	s.reader, err = bus.Connect(ctx, s.Config("reader"), s.options.Log)
	return s.reader, err
}

// disconnect ends the connection of Events.
func (s *Server) disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader != nil {
		s.reader.Close()
		s.reader = nil
	}
}

// Down stops the server; what it stored stays.
func (s *Server) Down(tb testing.TB) {
	tb.Helper()
	if s.server == nil {
		return
	}
	s.disconnect()
	if err := s.server.Stop(); err != nil {
		tb.Error(err)
	}
	s.server = nil
}

// Restart stops and starts the server: what is stored is there again.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Down(tb)
	s.Up(tb)
}

// URL is where clients connect.
func (s *Server) URL() string { return s.server.URL() }

// Store is the folder of the server's store.
func (s *Server) Store() string { return s.server.Store() }

// Config is how a user connects. A service of a cluster is <service>-<cluster>.
func (s *Server) Config(user string) bus.Config {
	service, cluster, _ := strings.Cut(user, "-")
	return bus.Config{URL: s.server.URL(), Creds: s.server.Creds(user), User: user, Service: service, Cluster: cluster}
}

// Connect connects as a user and closes the connection at the end of the test.
func (s *Server) Connect(tb testing.TB, user string) *bus.Conn {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := bus.Connect(ctx, s.Config(user), Log(tb))
	if err != nil {
		tb.Fatalf("connect as %s: %v", user, err)
	}
	tb.Cleanup(c.Close)
	return c
}

// Dial returns a bare connection as a user, for what the bus does not offer.
func (s *Server) Dial(tb testing.TB, user string) *nats.Conn {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	nc, err := bus.Dial(ctx, s.Config(user), Log(tb))
	if err != nil {
		tb.Fatalf("connect as %s: %v", user, err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

// Log writes to the test's output.
func Log(tb testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}
