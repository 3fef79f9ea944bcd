// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/issuer"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// foreign is a server that a kubeconfig leads to, and that is no API server.
type foreign struct {
	url       string
	authority *issuer.Authority // that the kubeconfig trusts
	elsewhere atomic.Int64      // requests to the host that it redirects to
}

func serveForeign(t *testing.T, how string) *foreign {
	t.Helper()
	f := &foreign{authority: newAuthority(t)}
	other := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { f.elsewhere.Add(1) })
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><body>words-of-the-server</body></html>")
	}
	signer := f.authority
	switch how {
	case "redirect plain", "redirect tls":
		to := httptest.NewUnstartedServer(other)
		t.Cleanup(to.Close)
		if how == "redirect tls" {
			startTLS(t, to, f.authority)
		} else {
			to.Start()
		}
		answer = func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, to.URL+r.URL.Path, http.StatusTemporaryRedirect)
		}
	case "stranger":
		signer = newAuthority(t)
	case "page":
	default:
		t.Fatalf("no such server: %q", how)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	t.Cleanup(server.Close)
	startTLS(t, server, signer)
	f.url = server.URL
	return f
}

func startTLS(t *testing.T, s *httptest.Server, signer *issuer.Authority) {
	t.Helper()
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail, as they should
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{issue(t, signer, "127.0.0.1", time.Hour)}}
	s.StartTLS()
}

// meets starts an applier on a bus of its own with a kubeconfig that leads to a
// foreign server, and awaits that it says so in its log and waits: its token has
// gone nowhere else.
func (s *stage) meets(t *testing.T, in Input) {
	t.Helper()
	f := serveForeign(t, strings.TrimSpace(in.Parts["server"]))
	bus := bustest.Start(t)
	text, err := in.Text("kubeconfig")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "kubeconfig")
	text = strings.NewReplacer("${server}", f.url, "${ca}", base64.StdEncoding.EncodeToString(f.authority.PEM)).Replace(text)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &rig.Process{Name: "applier", Path: filepath.Join(programs, "applier"), Dir: dir, Args: []string{
		"--nats-url", bus.URL(), "--nats-creds", bus.Config("applier-local").Creds, "--kubeconfig", file,
		"--age-identity", filepath.Join(s.Dir, "data", "keys", "local.age"),
	}}
	s.waits(t, in, f, p)
}

func (s *stage) waits(t *testing.T, in Input, f *foreign, p *rig.Process) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(s.alive, patience)
	defer cancel()
	err := rig.Until(ctx, func(context.Context) (bool, error) {
		log := p.Complaints(1000)
		return !slices.ContainsFunc(in.Want.Says, func(part string) bool { return !strings.Contains(log, part) }), nil
	})
	if err != nil {
		t.Errorf("the %s doesn't say what is wanted: %v\n%s", p.Name, err, p.Tail(10))
	}
	said := p.Tail(10000)
	if found := s.canaries.in([]byte(said)); found != "" {
		t.Errorf("the log of the %s holds a secret: %s", p.Name, found)
	}
	for _, sign := range []string{"words-of-the-server", "goroutine "} {
		if strings.Contains(said, sign) {
			t.Errorf("the log of the %s has %q:\n%.2000s", p.Name, sign, said)
		}
	}
	if n := f.elsewhere.Load(); n > 0 {
		t.Errorf("the %s asked another host %d times", p.Name, n)
	}
	if !p.Running() {
		t.Errorf("the %s has ended:\n%s", p.Name, p.Tail(10))
	}
}
