// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	kube "github.com/plumbline-dev/plumbline/internal/cluster"
)

// pair is two auditors that share the one consumer: each is given what the test
// has it given, of the log and of the watch.
type pair struct {
	*app
	one, other *Auditor
}

// newPair has both know a fleet that lacks the application of the test yet.
func newPair(t *testing.T) *pair {
	t.Helper()
	r := newRig(t)
	p := &pair{one: r.idle(), other: r.idle()}
	t.Cleanup(p.one.stop)
	t.Cleanup(p.other.stop)
	r.app("before")
	for _, b := range []*Auditor{p.one, p.other} {
		if err := b.fleet.load(t.Context(), b.conn); err != nil {
			t.Fatal(err)
		}
	}
	p.app = r.app("shared")
	return p
}

// given has one of the two, alone, given what waits in the log, and waits until
// it has worked on that.
func (p *pair) given(b *Auditor) {
	p.t.Helper()
	stop := bustest.Run(p.t, b.consumer)
	defer stop()
	p.bus.Idle(p.t, "auditor-local")
	p.within(b, func(context.Context) ([]events.Draft, error) { return nil, nil })
}

// within calls fn in the application's queue of an auditor that runs, behind what
// waits there.
func (p *pair) within(b *Auditor, fn func(context.Context) ([]events.Draft, error)) {
	p.t.Helper()
	done := make(chan struct{})
	b.consumer.Observe("shared", events.Cause{ID: time.Now().String()}, func(ctx context.Context) ([]events.Draft, error) {
		defer close(done)
		return fn(ctx)
	})
	select {
	case <-done:
	case <-time.After(bustest.Timeout):
		p.t.Fatal("the queue of the application does not come to its end")
	}
}

// sees has an auditor's watch deliver an object.
func (p *pair) sees(b *Auditor, kind watch.EventType, live *unstructured.Unstructured) {
	b.event(scope{kind: schema.GroupKind{Kind: "ConfigMap"}, version: "v1"}, kind, live)
}

// TestEachOfTwoIsGivenAPart gives neither of two auditors all that there is to
// know of a new application: one the fleet's list and what was applied, the other
// the rendering. An edit is told all the same, by whichever sees it.
func TestEachOfTwoIsGivenAPart(t *testing.T) {
	for name, seenBy := range map[string]func(*pair) *Auditor{
		"edit seen by the one":   func(p *pair) *Auditor { return p.one },
		"edit seen by the other": func(p *pair) *Auditor { return p.other },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.given(p.one) // the fleet's list
			p.commit()
			p.given(p.other)
			p.render(configMap("cm", "k", "v"))
			p.given(p.other)
			applied := p.writeAll()
			live, err := p.client(configMaps, "").Get(t.Context(), "cm", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			p.sees(p.one, watch.Added, live)
			p.sees(p.other, watch.Added, live)
			p.applied(applied...)
			p.given(p.one)
			p.next(&events.ConvergenceCompleted{Converging: p.converging()}, p.applier)
			p.given(p.other)

			edited := p.patch(configMaps, "cm", `[{"op":"replace","path":"/data/k","value":"x"}]`)
			b := seenBy(p)
			p.sees(b, watch.Modified, edited)
			p.given(b)
			p.hears("detected ConfigMap/cm changed")
		})
	}
}

// TestStallIsNotToldOnHearsay has one of two auditors given the commit, and the
// other all that came of it: the one that waits in vain asks the log before it
// tells of a stall.
func TestStallIsNotToldOnHearsay(t *testing.T) {
	p := newPair(t)
	p.commit()
	p.given(p.one)
	p.render(configMap("cm", "k", "v"))
	p.apply()
	p.given(p.other)
	stop := bustest.Run(t, p.one.consumer)
	p.within(p.one, func(ctx context.Context) ([]events.Draft, error) {
		return p.one.pass(ctx, p.one.application("shared"), work{all: true}, time.Now().Add(time.Hour))
	})
	stop()
	if got := story(p.heard()); got != "" {
		t.Errorf("heard %q of a revision that is through", got)
	}
}

// TestAWriteSeenBeforeItsRevisionCostsNoRequest has the watch tell of what the
// applier wrote before the log has told of the revision that it is of: the log
// is asked, and not the API server. What it knows nothing of is looked at.
func TestAWriteSeenBeforeItsRevisionCostsNoRequest(t *testing.T) {
	p := newPair(t)
	var looks atomic.Int64
	config, err := kube.Config(p.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(q *http.Request) (*http.Response, error) {
			if strings.HasSuffix(q.URL.Path, "/configmaps/cm") {
				looks.Add(1)
			}
			return next.RoundTrip(q)
		})
	})
	if p.one.cluster, err = newCluster("local", config, "test"); err != nil {
		t.Fatal(err)
	}
	seen := func() {
		t.Helper()
		live, err := p.client(configMaps, "").Get(t.Context(), "cm", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p.sees(p.one, watch.Modified, live)
		p.given(p.one)
	}
	p.converge(configMap("cm", "k", "1"))
	p.given(p.one)
	seen()
	before := looks.Load()

	p.commit()
	p.render(configMap("cm", "k", "2"))
	first := p.writeAll()
	p.given(p.other)
	seen()
	if n := looks.Load() - before; n != 0 {
		t.Errorf("%d looks at what the applier has just written", n)
	}
	p.applied(first...)
	p.next(&events.ConvergenceCompleted{Converging: p.converging()}, p.applier)
	p.given(p.one)
	if n := looks.Load() - before; n != 0 {
		t.Errorf("%d looks at what the applier has said that it wrote", n)
	}

	lost := p.bundle.Objects[0]
	lost.Digest = "sha256:" + strings.Repeat("0", 64) // of a revision that no log has
	p.write(lost)
	seen()
	if looks.Load() == before {
		t.Error("no look at what is of an unknown revision")
	}
}
