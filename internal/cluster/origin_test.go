// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/plumbline-dev/plumbline/internal/cluster"
	"github.com/plumbline-dev/plumbline/test/issuer"
)

// An API server that leads elsewhere leads nobody there: neither to a host of the
// same authority nor out of TLS, where client-go would take the token along. One
// that leads to itself is followed.
func TestAdvisoryC5TheTokenStaysWithTheAPIServer(t *testing.T) {
	authority, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64 // the other hosts
	other := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	plain := httptest.NewServer(other)
	t.Cleanup(plain.Close)
	to := map[string]string{"/plain": plain.URL + "/", "/same-authority": serve(t, authority, other) + "/", "/itself": "/here"}
	server := serve(t, authority, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if there, ok := to[r.URL.Path]; ok {
			http.Redirect(w, r, there, http.StatusTemporaryRedirect)
			return
		}
		fmt.Fprint(w, r.Header.Get("Authorization"))
	}))
	to["/itself-plain"] = strings.Replace(server, "https", "http", 1) + "/here"
	client := clientOf(t, server, authority)
	for path := range to {
		answer, err := client.Get(server + path)
		if path == "/itself" {
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if body, err := io.ReadAll(answer.Body); string(body) != "Bearer canary" {
				t.Errorf("%s: %q, %v", path, body, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), "which is not followed") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", path, err)
		}
		if err == nil {
			if err := answer.Body.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("other hosts were asked %d times", n)
	}
}

// serve serves TLS on loopback with a certificate of an authority.
func serve(t *testing.T, a *issuer.Authority, handler http.Handler) string {
	t.Helper()
	certificate, err := a.Issue(time.Hour, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// clientOf is a client by a kubeconfig with a token for a server.
func clientOf(t *testing.T, server string, a *issuer.Authority) *http.Client {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: {token: canary}}]
`, server, base64.StdEncoding.EncodeToString(a.PEM))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := cluster.Config(file)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
