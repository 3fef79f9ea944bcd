// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/natsserver"
	"github.com/plumbline-dev/plumbline/internal/provision"
)

// Server is a provisioned bus.
type Server struct {
	options natsserver.Options
	server  *natsserver.Server
}

// Start starts a bus for clusters, default local, and stops it at the end of
// the test.
func Start(tb testing.TB, clusters ...string) *Server {
	tb.Helper()
	if len(clusters) == 0 {
		clusters = []string{"local"}
	}
	s := &Server{options: natsserver.Options{
		Dir: filepath.Join(tb.TempDir(), "nats"), Port: -1, Clusters: clusters, Log: Log(tb),
	}}
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
	var err error
	if s.server, err = natsserver.Start(ctx, s.options); err != nil {
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

// Down stops the server; what it stored stays.
func (s *Server) Down(tb testing.TB) {
	tb.Helper()
	if s.server == nil {
		return
	}
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
