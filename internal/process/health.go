// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"
)

// Health answers whether a service can do its work. The zero value is ready
// for use; it may be used from several goroutines.
type Health struct {
	mu      sync.Mutex
	checks  map[string]func() error
	waiting error // why nothing is checked yet
	metrics http.Handler
}

// Scraped has GET /metrics answered by handler.
func (h *Health) Scraped(handler http.Handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.metrics = handler
}

// Waiting says what a service that is still starting waits for, for people;
// nil: nothing. Once it has registered a check, its checks alone tell.
func (h *Health) Waiting(why error) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = why
}

// Check registers what must be so for the service to be ready: check returns
// nil, or what is missing, for people. It is called at each question, so it
// must be quick and must not wait. A second check of the same name replaces
// the first.
func (h *Health) Check(name string, check func() error) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string]func() error{}
	}
	h.checks[name] = check
}

// Ready returns nil if every check passes. A service that has registered none
// is still starting, and not ready.
func (h *Health) Ready() error {
	if h == nil {
		return errors.New("not asked to tell")
	}
	h.mu.Lock()
	names := make([]string, 0, len(h.checks))
	checks := make(map[string]func() error, len(h.checks))
	for name, check := range h.checks {
		names = append(names, name)
		checks[name] = check
	}
	waiting := h.waiting
	h.mu.Unlock()
	if len(names) == 0 && waiting != nil {
		return fmt.Errorf("starting: %w", waiting)
	}
	if len(names) == 0 {
		return errors.New("starting")
	}
	sort.Strings(names)
	var missing []string
	for _, name := range names {
		if err := checks[name](); err != nil {
			missing = append(missing, name+": "+err.Error())
		}
	}
	if len(missing) > 0 {
		return errors.New(strings.Join(missing, "\n"))
	}
	return nil
}

// Begun reports whether the service has come as far as to register a check.
func (h *Health) Begun() bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.checks) > 0
}

// ServeHTTP answers GET /healthz (200 while the process runs at all) and GET
// /readyz (200, or 503 and a line for each thing that is missing), and GET
// /metrics where metrics are kept to be scraped.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "GET only", http.StatusMethodNotAllowed)
		return
	}
	h.mu.Lock()
	metrics := h.metrics
	h.mu.Unlock()
	if r.URL.Path == "/metrics" && metrics != nil {
		metrics.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	switch r.URL.Path {
	case "/healthz":
		fmt.Fprintln(w, "ok")
	case "/readyz":
		if err := h.Ready(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
		fmt.Fprintln(w, "ok")
	default:
		http.NotFound(w, r)
	}
}

// HealthListener is a listening health endpoint.
type HealthListener struct {
	server *http.Server
	addr   net.Addr
}

// Listen answers on address until the listener is closed. It listens when it
// returns; port 0 takes a free one.
func (h *Health) Listen(address string) (*HealthListener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--health-listen %s: %w", address, err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }() // ends with ErrServerClosed, in Close
	return &HealthListener{server, l.Addr()}, nil
}

// Addr is where it listens.
func (l *HealthListener) Addr() string { return l.addr.String() }

// Close stops listening and cuts the requests in work.
func (l *HealthListener) Close() error { return l.server.Close() }
