// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/plumbline-dev/plumbline/test/canary"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// recorder stands before a server and keeps everything that is sent to it.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex
	sent bytes.Buffer
}

// record starts one. The header Authorization is what the server is to be
// sent, and is left out.
func record(t *testing.T, before string) *recorder {
	t.Helper()
	target, err := url.Parse(before)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
		r.mu.Lock()
		fmt.Fprintf(&r.sent, "%s %s\n", request.Method, request.URL)
		for name, values := range request.Header {
			if name != "Authorization" {
				fmt.Fprintf(&r.sent, "%s: %s\n", name, strings.Join(values, ", "))
			}
		}
		r.sent.Write(withoutToken(body))
		r.sent.WriteByte('\n')
		r.mu.Unlock()
		proxy.ServeHTTP(w, request)
	}))
	t.Cleanup(r.Close)
	return r
}

// withoutToken is a form without the token that Slack takes there, too.
func withoutToken(body []byte) []byte {
	form, err := url.ParseQuery(string(body))
	if err != nil || !form.Has("token") {
		return body
	}
	form.Del("token")
	return []byte(form.Encode())
}

func (r *recorder) all() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.sent.Bytes())
}

// place is somewhere outside the cluster that is searched.
type place struct {
	name string
	find func(*canary.Set) (canary.Result, error)
}

// files is every file below a folder.
func files(name, dir string) place {
	return place{name, func(set *canary.Set) (canary.Result, error) { return set.FindDir(dir) }}
}

// text is what was kept of something.
func text(name string, b []byte) place {
	return place{name, func(set *canary.Set) (canary.Result, error) {
		return canary.Result{Hits: set.Find(name, b), Items: 1, Bytes: int64(len(b))}, nil
	}}
}

// stream is what the bus holds, read from it.
func stream(ctx context.Context, r *rig.Rig, name string) place {
	return place{"stream " + name, func(set *canary.Set) (canary.Result, error) {
		key, err := nats.NkeyOptionFromSeed(r.Creds("provisioner"))
		if err != nil {
			return canary.Result{}, err
		}
		nc, err := nats.Connect(r.URL, key, nats.CustomInboxPrefix("_INBOX_provisioner"))
		if err != nil {
			return canary.Result{}, err
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			return canary.Result{}, err
		}
		return set.FindStream(ctx, js, name)
	}}
}

// scrape is what a process tells of its metrics.
func scrape(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || len(body) < 100) {
		err = fmt.Errorf("%s tells no metrics: %s %s", address, response.Status, body)
	}
	return body, err
}

// commandLine is what everybody on the machine may read of a process, and its
// environment.
func commandLine(pid int) ([]byte, error) {
	args, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "cmdline"))
	environment, err2 := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "environ"))
	return append(args, environment...), errors.Join(err, err2)
}

// search looks into every place for what is in a set, and reports how much it saw.
func search(t *testing.T, set *canary.Set, places []place) map[string][]canary.Hit {
	t.Helper()
	found := map[string][]canary.Hit{}
	for _, p := range places {
		begin := time.Now()
		r, err := p.find(set)
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		if r.Bytes == 0 {
			t.Errorf("%s is empty: there is nothing to search", p.name)
		}
		found[p.name] = r.Hits
		t.Logf("searched %-16s %6d items, %9d bytes: %d found (%s)", p.name, r.Items, r.Bytes, len(r.Hits), time.Since(begin).Round(time.Millisecond))
	}
	return found
}
