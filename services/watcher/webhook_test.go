// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/seed"
)

func newWebhook(t testing.TB, secrets map[string]string) (*webhook, *atomic.Int64) {
	t.Helper()
	dir := t.TempDir()
	for name, secret := range secrets {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	looks := &atomic.Int64{}
	return &webhook{directory: dir, log: bustest.Log(t), look: func(repository string) bool {
		if repository == "undeclared" {
			return false
		}
		looks.Add(1)
		return true
	}}, looks
}

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Some put a token into the path. Where that names no secret it isn't logged.
func TestWebhookPathsAreNotLogged(t *testing.T) {
	h, _ := newWebhook(t, nil)
	var logged bytes.Buffer
	h.log = slog.New(slog.NewTextHandler(&logged, nil))
	answer := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook/t0ken", strings.NewReader("{}"))
	r.Header.Set("X-Hub-Signature-256", sign("s3cret", "{}"))
	h.ServeHTTP(answer, r)
	if answer.Code != http.StatusUnauthorized || logged.Len() == 0 || strings.Contains(logged.String()+answer.Body.String(), "t0ken") {
		t.Errorf("%d %s, logged %s", answer.Code, answer.Body, &logged)
	}
}

func TestAdvisoryC8Webhook(t *testing.T) {
	const body = `{"ref":"refs/heads/main"}`
	large := strings.Repeat("x", maxBody+1)
	tests := []struct {
		name, method, path, body string
		signatures               []string
		chunked                  bool
		want                     int
	}{
		{"good", "POST", "/webhook/shop", body, []string{sign("s3cret", body)}, false, 202},
		{"good, secret with a line break", "POST", "/webhook/lines", body, []string{sign("s3cret", body)}, false, 202},
		{"no JSON: nothing is parsed", "POST", "/webhook/shop", "\x00{", []string{sign("s3cret", "\x00{")}, false, 202},
		{"no signature", "POST", "/webhook/shop", body, nil, false, 401},
		{"empty signature", "POST", "/webhook/shop", body, []string{""}, false, 401},
		{"prefix alone", "POST", "/webhook/shop", body, []string{"sha256="}, false, 401},
		{"wrong secret", "POST", "/webhook/shop", body, []string{sign("other", body)}, false, 401},
		{"other body", "POST", "/webhook/shop", body + " ", []string{sign("s3cret", body)}, false, 401},
		{"cut signature", "POST", "/webhook/shop", body, []string{sign("s3cret", body)[:60]}, false, 401},
		{"sha1", "POST", "/webhook/shop", body, []string{strings.Replace(sign("s3cret", body), "sha256", "sha1", 1)}, false, 401},
		{"two signatures", "POST", "/webhook/shop", body, []string{sign("s3cret", body), sign("s3cret", body)}, false, 401},
		{"empty secret", "POST", "/webhook/empty", body, []string{sign("", body)}, false, 401},
		{"no secret", "POST", "/webhook/unknown", body, []string{sign("", body)}, false, 401},
		{"not declared", "POST", "/webhook/undeclared", body, []string{sign("s3cret", body)}, false, 404},
		{"GET", "GET", "/webhook/shop", "", []string{sign("s3cret", "")}, false, 405},
		{"no name", "POST", "/webhook/", body, nil, false, 404},
		{"elsewhere", "POST", "/", body, nil, false, 404},
		{"dots", "POST", "/webhook/..", body, nil, false, 404},
		{"path", "POST", "/webhook/a/b", body, nil, false, 404},
		{"large", "POST", "/webhook/shop", large, []string{sign("s3cret", large)}, false, 413},
		{"large, of unknown length", "POST", "/webhook/shop", large, []string{sign("s3cret", large)}, true, 413},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, looks := newWebhook(t, map[string]string{"shop": "s3cret", "lines": "s3cret\r\n", "empty": "\n", "undeclared": "s3cret"})
			request := httptest.NewRequest(test.method, "/", strings.NewReader(test.body))
			request.URL = &url.URL{Path: test.path}
			if test.chunked {
				request.ContentLength = -1
			}
			request.Header["X-Hub-Signature-256"] = test.signatures
			response := httptest.NewRecorder()
			h.ServeHTTP(response, request)
			if response.Code != test.want {
				t.Errorf("status %d, want %d: %s", response.Code, test.want, response.Body)
			}
			if looked := looks.Load() > 0; looked != (test.want == 202) {
				t.Errorf("looked: %v", looked)
			}
			if strings.Contains(response.Body.String(), "s3cret") {
				t.Error("the answer shows the secret")
			}
		})
	}
}

func TestWebhooksAreDebounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, looks := newWebhook(t, nil)
		for range 1000 {
			if !h.debounce("shop") {
				t.Fatal("refused")
			}
		}
		synctest.Wait()
		if n := looks.Load(); n != 1 {
			t.Errorf("%d looks at once, want 1", n)
		}
		time.Sleep(10 * quiet)
		synctest.Wait()
		if n := looks.Load(); n != 2 {
			t.Errorf("%d looks after the quiet time, want 2: the last webhook counts", n)
		}
		if h.debounce("other"); looks.Load() != 3 {
			t.Error("one repository's webhooks hold another's back")
		}
	})
}

// FuzzWebhook: nothing but a POST to the one path with the one signature of
// its very body makes the watcher look; what is refused shows no secret and
// never costs more than a look at its own file.
func FuzzWebhook(f *testing.F) {
	const secret = "a secret that is not guessed"
	f.Add("POST", "/webhook/shop", "sha256=00", []byte("{}"), false)
	f.Add("POST", "/webhook/shop", "", []byte("{}"), true)
	f.Add("POST", "/webhook/../shop", "", []byte{}, true)
	f.Add("PUT", "//webhook/shop", "sha256=", []byte("x"), false)
	seed.Each(f, func(file seed.File) { f.Add("POST", "/webhook/shop", "sha256=00", file.Data, true) }, "webhook")
	f.Fuzz(func(t *testing.T, method, path, signature string, body []byte, signed bool) {
		if signed {
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write(body)
			signature = "sha256=" + hex.EncodeToString(mac.Sum(nil))
		}
		h, looks := newWebhook(t, map[string]string{"shop": secret})
		request := &http.Request{
			Method: method, URL: &url.URL{Path: path}, Header: http.Header{"X-Hub-Signature-256": {signature}},
			Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		}
		response := httptest.NewRecorder()
		h.ServeHTTP(response, request)
		right := signed && method == http.MethodPost && path == "/webhook/shop" && len(body) <= maxBody
		if taken := response.Code == http.StatusAccepted; taken != right || taken != (looks.Load() == 1) {
			t.Fatalf("%s %q: %d, %d looks", method, path, response.Code, looks.Load())
		}
		if text := response.Body.String(); strings.Contains(text, secret) || len(text) > 200 {
			t.Fatalf("the answer is %q", text)
		}
	})
}
