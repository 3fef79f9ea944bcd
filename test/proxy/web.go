// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// Rule is what is done with a request. Of several rules the first that fits
// counts; a request that none fits goes through.
type Rule struct {
	// Match says which requests it fits; nil: all.
	Match func(*http.Request) bool
	// Times is how many requests it fits at most; 0: any number.
	Times int

	// Delay is how long the request is kept back first.
	Delay time.Duration
	// Status, where not 0, is answered in the server's place, with Body, and
	// RetryAfter in whole seconds where it isn't 0.
	Status     int
	RetryAfter time.Duration
	Body       string
	// Lose lets the request through to its end, and loses the answer: the
	// client sees a connection, or a stream of one, that is reset.
	Lose bool
	// Cut resets the stream after so many bytes of the answer's body; 0: not.
	Cut int64
}

// Web is a reverse proxy for HTTP/1.1 and HTTP/2, with the faults of a [Link]
// before it. It is safe for concurrent use.
type Web struct {
	*Link
	server  *http.Server
	proxy   *httputil.ReverseProxy
	trust   *authority // nil without TLS
	serving sync.WaitGroup

	mu    sync.Mutex
	rules []*Rule
	used  []int
}

// NewWeb is a proxy before the server of a URL, whose scheme is http. The
// requests keep their paths.
func NewWeb(target string) (*Web, error) {
	return newWeb(target, http.DefaultTransport.(*http.Transport).Clone(), nil) //nolint:errcheck // it is of that type
}

func newWeb(target string, transport http.RoundTripper, trust *authority) (*Web, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("proxy before %s: %w", target, err)
	}
	w := &Web{trust: trust, proxy: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: to.Scheme, Host: to.Host})
			r.Out.Host = to.Host
		},
		Transport:     transport,
		FlushInterval: -1, // a watch is to be seen as it comes
		ErrorLog:      log.New(io.Discard, "", 0),
		// The server is away: for the client so is the proxy.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy before %s: %w", target, err)
	}
	if w.Link, err = NewLink(l.Addr().String()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	w.server = &http.Server{Handler: http.HandlerFunc(w.serve), ReadHeaderTimeout: time.Minute, ErrorLog: w.proxy.ErrorLog}
	serve := func() error { return w.server.Serve(l) }
	if trust != nil {
		w.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{trust.server}, MinVersion: tls.VersionTLS12}
		serve = func() error { return w.server.ServeTLS(l, "", "") }
	}
	w.serving.Go(func() { _ = serve() }) // it ends with Close
	return w, nil
}

// URL is where it listens.
func (w *Web) URL() string {
	if w.trust != nil {
		return "https://" + w.Address()
	}
	return "http://" + w.Address()
}

// Through is a URL of the server's as it is reached through the proxy.
func (w *Web) Through(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("proxy: %w", err)
	}
	u.Host = w.Address()
	return u.String(), nil
}

// Rule sets what is done with requests from now on; without rules all go
// through.
func (w *Web) Rule(rules ...Rule) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rules, w.used = nil, make([]int, len(rules))
	for _, r := range rules {
		w.rules = append(w.rules, &r)
	}
}

// Used is how many requests each of the rules in force has fitted.
func (w *Web) Used() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]int(nil), w.used...)
}

// Mend ends what is wrong, rules and the link's fault.
func (w *Web) Mend() {
	w.Rule()
	w.Link.Mend()
}

// Close ends the proxy and every connection.
func (w *Web) Close() error {
	err := errors.Join(w.Link.Close(), w.server.Close())
	w.serving.Wait()
	return err
}

// pick is the rule for a request, nil: none.
func (w *Web) pick(r *http.Request) *Rule {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, rule := range w.rules {
		if rule.Times > 0 && w.used[i] >= rule.Times || rule.Match != nil && !rule.Match(r) {
			continue
		}
		w.used[i]++
		return rule
	}
	return nil
}

func (w *Web) serve(out http.ResponseWriter, r *http.Request) {
	rule := w.pick(r)
	if rule == nil {
		w.proxy.ServeHTTP(out, r)
		return
	}
	if !pause(r.Context(), rule.Delay) {
		panic(http.ErrAbortHandler)
	}
	switch {
	case rule.Status != 0:
		rule.answer(out)
	case rule.Lose:
		// The request outlives a client that has given up: it did take effect.
		w.proxy.ServeHTTP(&lost{header: http.Header{}}, r.WithContext(context.WithoutCancel(r.Context())))
		panic(http.ErrAbortHandler)
	case rule.Cut > 0:
		w.proxy.ServeHTTP(&short{ResponseWriter: out, left: rule.Cut}, r)
	default:
		w.proxy.ServeHTTP(out, r)
	}
}

func (r *Rule) answer(out http.ResponseWriter) {
	if r.RetryAfter > 0 {
		out.Header().Set("Retry-After", strconv.Itoa(int(r.RetryAfter/time.Second)))
	}
	out.Header().Set("Content-Type", "application/json")
	out.WriteHeader(r.Status)
	_, _ = io.WriteString(out, r.Body) // the client may be gone
}

// lost takes an answer that nobody hears.
type lost struct{ header http.Header }

func (l *lost) Header() http.Header         { return l.header }
func (l *lost) WriteHeader(int)             {}
func (l *lost) Write(b []byte) (int, error) { return len(b), nil }

// short breaks off in the middle of a body.
type short struct {
	http.ResponseWriter
	left int64
}

func (s *short) Write(b []byte) (int, error) {
	if int64(len(b)) < s.left {
		s.left -= int64(len(b))
		return s.ResponseWriter.Write(b)
	}
	_, _ = s.ResponseWriter.Write(b[:s.left]) // the reset is what counts
	_ = http.NewResponseController(s.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// Unwrap is for http.ResponseController.
func (s *short) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// pause waits for d and reports whether ctx still holds.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
