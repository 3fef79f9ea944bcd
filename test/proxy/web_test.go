// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/test/proxy"
)

// web is a server that counts its requests, seen through a proxy.
func web(t *testing.T) (*proxy.Web, *atomic.Int64) {
	t.Helper()
	var served atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		_, _ = io.WriteString(w, r.Method+" "+r.URL.String()+" "+strings.Repeat("x", 1000))
	}))
	t.Cleanup(s.Close)
	p, err := proxy.NewWeb(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p, &served
}

func get(t *testing.T, url string) (*http.Response, string, error) {
	t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

func TestWebPasses(t *testing.T) {
	p, _ := web(t)
	through, err := p.Through("http://somewhere:81/a/b?c=d")
	if err != nil {
		t.Fatal(err)
	}
	if _, body, err := get(t, through); err != nil || !strings.HasPrefix(body, "GET /a/b?c=d xxx") {
		t.Errorf("%q, %v", body, err)
	}
}

func TestWebAnswersInTheServersPlace(t *testing.T) {
	p, served := web(t)
	p.Rule(proxy.Rule{
		Match: func(r *http.Request) bool { return r.URL.Path == "/limited" }, Times: 2,
		Status: http.StatusTooManyRequests, RetryAfter: 3 * time.Second, Body: `{"kind":"Status"}`,
	})
	for range 2 {
		response, body, err := get(t, p.URL()+"/limited")
		if err != nil || response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") != "3" || body != `{"kind":"Status"}` {
			t.Errorf("%+v %q, %v", response, body, err)
		}
	}
	if n := served.Load(); n != 0 {
		t.Errorf("the server has seen %d requests", n)
	}
	for _, path := range []string{"/limited", "/other"} { // it fits twice
		if response, _, err := get(t, p.URL()+path); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%s: %+v, %v", path, response, err)
		}
	}
	if used := p.Used(); len(used) != 1 || used[0] != 2 {
		t.Errorf("the rule has fitted %v times", used)
	}
}

func TestWebLosesTheAnswer(t *testing.T) {
	p, served := web(t)
	p.Rule(proxy.Rule{Lose: true})
	if _, _, err := get(t, p.URL()); !errors.Is(err, io.EOF) {
		t.Errorf("the client is told %v, want the end of the connection", err)
	}
	if n := served.Load(); n != 1 {
		t.Errorf("the server has seen %d requests, want 1", n)
	}
}

func TestWebCutsTheBody(t *testing.T) {
	p, _ := web(t)
	p.Rule(proxy.Rule{Cut: 10})
	_, body, err := get(t, p.URL()+"/abc")
	if !errors.Is(err, io.ErrUnexpectedEOF) || body != "GET /abc x" {
		t.Errorf("%q, %v; want 10 bytes and then no proper end", body, err)
	}
}

func TestWebDelays(t *testing.T) {
	p, _ := web(t)
	p.Rule(proxy.Rule{Delay: moment})
	began := time.Now()
	if _, _, err := get(t, p.URL()); err != nil || time.Since(began) < moment {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

func TestWebWithoutServer(t *testing.T) {
	p, err := proxy.NewWeb("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	if response, _, err := get(t, p.URL()); err == nil {
		t.Errorf("without a server there is the answer %s", response.Status)
	}
}
