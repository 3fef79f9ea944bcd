// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// trouble is what a faulty network or API server makes of watches.
type trouble struct {
	http.RoundTripper
	expired atomic.Bool // every watch is answered with 410 Gone
	silent  atomic.Bool // a watch is accepted, and nothing ever comes
	watches atomic.Int64
}

func (f *trouble) RoundTrip(q *http.Request) (*http.Response, error) {
	if !strings.Contains(q.URL.RawQuery, "watch=") {
		return f.RoundTripper.RoundTrip(q)
	}
	f.watches.Add(1)
	if f.expired.Load() {
		body := `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}`
		return &http.Response{
			StatusCode: http.StatusGone, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: q,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
		}, nil
	}
	if f.silent.Load() {
		return &http.Response{
			StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: q,
			Header: http.Header{"Content-Type": {"application/json;stream=watch"}}, Body: silence{q},
		}, nil
	}
	return f.RoundTripper.RoundTrip(q)
}

// silence is the body of a connection that is dead and does not know it.
type silence struct{ q *http.Request }

func (s silence) Read([]byte) (int, error) {
	<-s.q.Context().Done()
	return 0, s.q.Context().Err()
}

func (s silence) Close() error { return nil }

func TestWatchesThatBreak(t *testing.T) {
	for name, start := range map[string]func(f *trouble, on bool){
		"expired": func(f *trouble, on bool) { f.expired.Store(on) },
		"silent":  func(f *trouble, on bool) { f.silent.Store(on) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := &trouble{}
			start(f, true)
			a := r.app("broken-" + name)
			a.converge(configMap("one", "k", "v"), configMap("two", "k", "v"))
			r.killable(func(c *rest.Config, times *timing) {
				c.Wrap(func(next http.RoundTripper) http.RoundTripper { f.RoundTripper = next; return f })
				*times = timing{watch: time.Second, silence: 500 * time.Millisecond}
			})
			// No watch works; a list is all there is, and comes before the first watch.
			bustest.Eventually(t, "a watch is tried", func() bool { return f.watches.Load() > 0 })
			r.patch(configMaps, "one", `[{"op":"replace","path":"/data/k","value":"x"}]`)
			a.delete("two")
			start(f, false)
			bustest.Eventually(t, "both are detected", func() bool {
				told := story(a.heard())
				return strings.Contains(told, "detected ConfigMap/one changed") && strings.Contains(told, "detected ConfigMap/two deleted")
			})
			a.apply()
			bustest.Eventually(t, "both are resolved", func() bool { return len(a.heard()) == 4 })
			a.once()
		})
	}
}

// TestAPIServerOut keeps the state while the API server is away, and finds
// what happened meanwhile.
func TestAPIServerOut(t *testing.T) {
	r := newRig(t)
	r.audit()
	a := r.app("out")
	a.converge(configMap("one", "k", "v"), configMap("two", "k", "v"))
	a.quiet("")
	r.patch(configMaps, "one", `[{"op":"replace","path":"/data/k","value":"x"}]`)
	a.hears("detected ConfigMap/one changed")
	if err := r.cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	operator := r.bus.Connect(t, "operator")
	r.publish(operator, events.Cause{ID: "sync-1"}, events.Address{}, &events.SyncRequested{By: "test"})
	if err := r.cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := story(a.heard()); got != "detected ConfigMap/one changed" {
		t.Fatalf("heard %q while the API server was away", got)
	}
	r.patch(configMaps, "two", `[{"op":"replace","path":"/data/k","value":"x"}]`)
	a.hears("detected ConfigMap/one changed, detected ConfigMap/two changed")
	a.writeAll()
	bustest.Eventually(t, "both are resolved", func() bool { return len(a.heard()) == 4 })
}

// TestClusterRestoredFromBackup puts the cluster's store back to an older
// state: its resource versions go back, and so do the objects.
func TestClusterRestoredFromBackup(t *testing.T) {
	r := newRig(t)
	a := r.app("restored")
	a.converge(configMap("one", "k", "1"), configMap("two", "k", "1"))
	etcd, backup := filepath.Join(r.cluster.Dir(), "etcd"), filepath.Join(t.TempDir(), "backup")
	if err := r.cluster.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(backup, os.DirFS(etcd)); err != nil {
		t.Fatal(err)
	}
	if err := r.cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.audit()
	a.converge(configMap("one", "k", "2"), configMap("two", "k", "1"), configMap("three", "k", "1"))
	a.quiet("")
	if err := r.cluster.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(etcd); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(etcd, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	if err := r.cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, "the old state is seen to differ", func() bool {
		told := story(a.heard())
		return strings.Contains(told, "detected ConfigMap/one changed") && strings.Contains(told, "detected ConfigMap/three deleted") && len(a.heard()) == 2
	})
	a.apply()
	bustest.Eventually(t, "both are resolved", func() bool { return len(a.heard()) == 4 })
	a.once()
}

// gate holds requests back while it is shut, as what balances loads before an API
// server does.
type gate struct {
	http.RoundTripper
	mu   sync.Mutex
	shut chan struct{} // nil: it is open
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
	if shut {
		g.shut = make(chan struct{})
	}
}

func (g *gate) RoundTrip(q *http.Request) (*http.Response, error) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		select {
		case <-shut:
		case <-q.Context().Done():
			return nil, q.Context().Err()
		}
	}
	return g.RoundTripper.RoundTrip(q)
}

// TestClusterRestoredUnderAWatch puts the cluster back so that no request fails
// meanwhile: a watch that went on where it was would go on in the future, and
// tell nothing until the cluster gets there.
func TestClusterRestoredUnderAWatch(t *testing.T) {
	r := newRig(t)
	a := r.app("restored")
	a.converge(configMap("one", "k", "1"), configMap("two", "k", "1"))
	backup := filepath.Join(t.TempDir(), "backup")
	if err := r.cluster.Save(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	g := &gate{}
	r.killable(func(c *rest.Config, _ *timing) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper { g.RoundTripper = next; return g })
	})
	a.converge(configMap("one", "k", "2"), configMap("two", "k", "1"), configMap("three", "k", "1"))
	a.quiet("")
	for i := range 300 { // far beyond what an API server that starts writes itself
		annotation := fmt.Sprintf(`{"metadata":{"annotations":{"n":"%d"}}}`, i)
		if _, err := r.objects.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).
			Patch(t.Context(), r.namespace, types.MergePatchType, []byte(annotation), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	g.set(true)
	if err := r.cluster.Restore(t.Context(), backup, 0); err != nil {
		t.Fatal(err)
	}
	g.set(false)
	bustest.Eventually(t, "the old state is seen to differ", func() bool {
		told := story(a.heard())
		return strings.Contains(told, "detected ConfigMap/one changed") && strings.Contains(told, "detected ConfigMap/three deleted") && len(a.heard()) == 2
	})
	a.apply()
	bustest.Eventually(t, "both are resolved", func() bool { return len(a.heard()) == 4 })
	a.once()
}

// What was denied a moment ago is asked for again soon, and later ever more
// rarely.
func TestWhatIsDeniedIsAskedForAgain(t *testing.T) {
	backoff, at := minBackoff, time.Duration(0)
	for at < time.Minute {
		at += backoff
		backoff = min(2*backoff, deniedLimit(at))
		if at < time.Minute && backoff > soonDenied {
			t.Fatalf("after %s the next wait is %s", at, backoff)
		}
	}
	for range 10 {
		at += backoff
		backoff = min(2*backoff, deniedLimit(at))
	}
	if backoff != maxDenied {
		t.Errorf("after %s it is still asked for every %s", at, backoff)
	}
}

// What one application alone gets no answer to, with the API server there, stops
// the audit of no other one.
func TestWhatOneApplicationAloneGetsNoAnswerToIsNoOutage(t *testing.T) {
	r := newRig(t)
	var cut atomic.Bool
	cut.Store(true)
	var asked atomic.Int64
	r.killable(func(c *rest.Config, _ *timing) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(q *http.Request) (*http.Response, error) {
				if strings.HasSuffix(q.URL.Path, "/configmaps/one") && cut.Load() {
					asked.Add(1)
					return nil, errors.New("the proxy takes offence") // which is not tried again within the request
				}
				return next.RoundTrip(q)
			})
		})
	})
	a, b := r.app("cut"), r.app("whole")
	a.converge(configMap("one", "k", "v"))
	b.converge(configMap("two", "k", "v"))
	a.quiet("")
	b.quiet("")
	r.patch(configMaps, "one", `[{"op":"replace","path":"/data/k","value":"x"}]`)
	bustest.Eventually(t, "it is looked at again and again", func() bool { return asked.Load() > 2 })
	r.patch(configMaps, "two", `[{"op":"replace","path":"/data/k","value":"x"}]`)
	b.hears("detected ConfigMap/two changed")
	cut.Store(false)
	a.hears("detected ConfigMap/one changed")
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }
