// SPDX-License-Identifier: Apache-2.0

package gitserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Options are how a server is started.
type Options struct {
	// Username and Password, where set, are asked for over HTTP.
	Username, Password string
	// TLS serves HTTPS with a certificate of an own authority, see
	// [Server.CA].
	TLS bool
	// Address to listen on; empty: a free port on 127.0.0.1.
	Address string
}

// Server serves the bare repositories of a directory.
type Server struct {
	// URL is the root of the repositories over HTTP: http://127.0.0.1:port.
	URL string
	// Dir holds bare/<name>.git and work/<name>.
	Dir string
	// CA is the PEM of the authority that signed the server's certificate;
	// nil without TLS.
	CA []byte

	backend  http.Handler
	http     *http.Server
	listener net.Listener
	ssh      *sshServer

	mu       sync.Mutex
	username string
	password string
	fault    func(http.Handler) http.Handler
	counts   map[Kind]int
	listings map[string]int // by repository
	served   map[Kind]int64
	sawAuth  bool
}

// TB is the part of testing.TB that [New] uses.
type TB interface {
	Helper()
	TempDir() string
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// New starts a server for a test and stops it at its end.
func New(tb TB, options Options) *Server {
	tb.Helper()
	s, err := Start(tb.TempDir(), options)
	if err != nil {
		tb.Fatalf("start the Git server: %v", err)
		return nil
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Fatalf("stop the Git server: %v", err)
		}
	})
	return s
}

// Start serves the repositories of dir, which is made where it is missing,
// until [Server.Close].
func Start(dir string, options Options) (*Server, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("git server: %w", err)
	}
	for _, sub := range []string{"bare", "work"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("git server: %w", err)
		}
	}
	s := &Server{
		Dir: dir, username: options.Username, password: options.Password,
		counts: map[Kind]int{}, listings: map[string]int{}, served: map[Kind]int64{},
	}
	if s.backend, err = backend(filepath.Join(dir, "bare")); err != nil {
		return nil, err
	}
	address := options.Address
	if address == "" {
		address = "127.0.0.1:0"
	}
	if s.listener, err = net.Listen("tcp", address); err != nil {
		return nil, fmt.Errorf("git server: %w", err)
	}
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 10 * time.Second}
	scheme, listener := "http", s.listener
	if options.TLS {
		scheme = "https"
		if listener, s.CA, err = serveTLS(s.listener); err != nil {
			return nil, errors.Join(err, s.listener.Close())
		}
	}
	s.URL = scheme + "://" + s.listener.Addr().String()
	go func() { _ = s.http.Serve(listener) }() // ends with Close
	return s, nil
}

// Close stops serving and cuts every connection; the repositories stay.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var err error
	if s.http.Shutdown(ctx) != nil {
		err = s.http.Close() // what hangs on purpose is cut
	}
	if s.ssh != nil {
		err = errors.Join(err, s.ssh.Close())
	}
	return err
}

// Host is the address that the server listens on.
func (s *Server) Host() string { return s.listener.Addr().String() }
