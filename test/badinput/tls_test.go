// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/test/issuer"
)

// impostors is how many connections meet the wrong certificate before the right
// one is there.
const impostors = 2

// front speaks TLS before a Slack: badly at first, and then as it should.
type front struct {
	url       string // to be used
	authority string // file with what is to be trusted
	met       atomic.Int64
	served    atomic.Int64 // requests over a connection that must not be trusted
}

// frontOf puts a front before an address. What is wrong with its certificate is
// stranger (of no known authority), expired, other-name, or plain (there is none:
// it speaks HTTP).
func frontOf(t *testing.T, slack, wrong string) *front {
	t.Helper()
	to, err := url.Parse(slack)
	if err != nil {
		t.Fatal(err)
	}
	trusted, stranger := newAuthority(t), newAuthority(t)
	right := issue(t, trusted, "127.0.0.1", time.Hour)
	bad := map[string]tls.Certificate{
		"stranger":   issue(t, stranger, "127.0.0.1", time.Hour),
		"expired":    issue(t, trusted, "127.0.0.1", -time.Hour),
		"other-name": issue(t, trusted, "192.0.2.1", time.Hour),
		"plain":      {},
	}
	impostor, ok := bad[wrong]
	if !ok {
		t.Fatalf("no such fault of a certificate: %q", wrong)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{url: "https://" + l.Addr().String() + to.Path, authority: filepath.Join(t.TempDir(), "ca.crt")}
	if err := os.WriteFile(f.authority, trusted.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, to.Host
	}}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.met.Load() <= impostors {
			f.served.Add(1)
		}
		proxy.ServeHTTP(w, r)
	})}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if f.met.Add(1) <= impostors {
			return &impostor, nil
		}
		return &right, nil
	}}
	go func() { _ = server.Serve(&mixed{Listener: l, config: config, plain: wrong == "plain", met: &f.met}) }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	return f
}

// mixed is a listener of connections that speak TLS, but for the first ones
// where those are plain.
type mixed struct {
	net.Listener
	config *tls.Config
	plain  bool
	met    *atomic.Int64
}

// Accept implements net.Listener.
func (m *mixed) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if m.plain && m.met.Load() < impostors {
		m.met.Add(1)
		return c, nil
	}
	return tls.Server(c, m.config), nil
}

// newAuthority makes an authority for a test.
func newAuthority(t *testing.T) *issuer.Authority {
	t.Helper()
	a, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// issue makes a certificate of an authority.
func issue(t *testing.T, a *issuer.Authority, ip string, life time.Duration) tls.Certificate {
	t.Helper()
	c, err := a.Issue(life, ip)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
