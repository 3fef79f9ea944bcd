// SPDX-License-Identifier: Apache-2.0

package natsserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 10 * time.Second
)

// Options say where and how a server runs.
type Options struct {
	Dir      string   // everything that it owns is here
	Keys     string   // folder of the users' keys; default: keys in Dir
	Host     string   // to listen on; default 127.0.0.1
	Port     int      // to listen on; -1: any free one; default 4222
	Clusters []string // whose services get users and consumers; default local
	Log      *slog.Logger
	// Waiting, where set, is told what keeps the bus from working, and nil once
	// it does. It must not block.
	Waiting func(error)
	// Features are feature flags of the server, as in its configuration.
	Features map[string]bool
}

func (o Options) withDefaults() Options {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Port == 0 {
		o.Port = 4222
	}
	if o.Keys == "" {
		o.Keys = filepath.Join(o.Dir, "keys")
	}
	if o.Waiting == nil {
		o.Waiting = func(error) {}
	}
	if len(o.Clusters) == 0 {
		o.Clusters = []string{"local"}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Server is a running server.
type Server struct {
	options Options
	server  *server.Server
}

// Start runs a server in o.Dir and returns when it takes connections. Nothing
// is provisioned.
func Start(ctx context.Context, o Options) (*Server, error) {
	o = o.withDefaults()
	if err := prepare(o); err != nil {
		return nil, fmt.Errorf("prepare the NATS server in %s: %w", o.Dir, err)
	}
	s := &Server{options: o}
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("start the NATS server in %s: %w", o.Dir, err)
	}
	return s, nil
}

// Configure writes server.conf, users.conf and the keys that are missing into
// o.Dir: everything that a server of its own needs.
func Configure(o Options) error { return prepare(o.withDefaults()) }

// prepare writes the server's configuration and makes the keys that are
// missing.
func prepare(o Options) error {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	users, err := natsconfig.UsersConf(o.Clusters, keys(o.Keys).public)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(o.Dir, "users.conf"), users, 0o600); err != nil {
		return err
	}
	return write(filepath.Join(o.Dir, "server.conf"), natsconfig.Server(), 0o600)
}

func (s *Server) start(ctx context.Context) error {
	o, err := server.ProcessConfigFile(filepath.Join(s.options.Dir, "server.conf"))
	if err != nil {
		return err
	}
	o.Host, o.Port = s.options.Host, s.options.Port
	o.StoreDir = s.options.Dir // the server adds jetstream
	o.NoSigs = true
	o.FeatureFlags = s.options.Features
	if err := free(ctx, s.options.Host, s.options.Port); err != nil {
		return err
	}
	if s.server, err = server.NewServer(o); err != nil {
		return err
	}
	s.server.SetLoggerV2(newLogger(s.options.Log), false, false, false)
	s.server.Start()
	if err := s.await(ctx); err != nil {
		return errors.Join(err, s.Stop())
	}
	address, ok := s.server.Addr().(*net.TCPAddr)
	if !ok {
		return errors.Join(errors.New("no address to listen on"), s.Stop())
	}
	s.options.Port = address.Port // a restart comes back where clients look for it
	return nil
}

// free says at once what the server would keep trying until a deadline: that
// its port is taken.
func free(ctx context.Context, host string, port int) error {
	if port <= 0 {
		return nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("%w; stop what listens there, or give another port", err)
	}
	return l.Close()
}

// await returns when the server takes connections.
func (s *Server) await(ctx context.Context) error {
	deadline := time.Now().Add(startTimeout)
	for !s.server.ReadyForConnections(100 * time.Millisecond) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return fmt.Errorf("no connections on %s:%d after %s: look at its log", s.options.Host, s.options.Port, startTimeout)
		}
	}
	if !s.server.JetStreamEnabled() {
		return errors.New("JetStream does not start")
	}
	return nil
}

// URL is where clients on this machine connect.
func (s *Server) URL() string {
	host := s.options.Host
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "nats://" + net.JoinHostPort(host, strconv.Itoa(s.options.Port))
}

// Port is where it listens.
func (s *Server) Port() int { return s.options.Port }

// Creds is the file with the key of a user.
func (s *Server) Creds(user string) string {
	return keys(s.options.Keys).path(user)
}

// Store is the folder of the JetStream store.
func (s *Server) Store() string { return filepath.Join(s.options.Dir, server.JetStreamStoreDir) }

// Stop ends the server and returns when it has stopped.
func (s *Server) Stop() error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.server.Shutdown()
		s.server.WaitForShutdown()
	}()
	select {
	case <-stopped:
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("the NATS server does not stop within %s", stopTimeout)
	}
}
