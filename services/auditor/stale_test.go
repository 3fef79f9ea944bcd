// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	kube "github.com/plumbline-dev/plumbline/internal/cluster"
)

// held keeps the first look at one object waiting until it is let go.
type held struct {
	http.RoundTripper
	suffix string
	once   sync.Once
	asked  chan struct{}
	let    chan struct{}
}

func (h *held) RoundTrip(q *http.Request) (*http.Response, error) {
	if strings.HasSuffix(q.URL.Path, h.suffix) {
		h.once.Do(func() {
			close(h.asked)
			select {
			case <-h.let:
			case <-q.Context().Done():
			}
		})
	}
	return h.RoundTripper.RoundTrip(q)
}

// holdsLook has an auditor's next look at an object held.
func (p *pair) holdsLook(b *Auditor, name string) *held {
	p.t.Helper()
	h := &held{suffix: "/configmaps/" + name, asked: make(chan struct{}), let: make(chan struct{})}
	config, err := kube.Config(p.kubeconfig)
	if err != nil {
		p.t.Fatal(err)
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { h.RoundTripper = next; return h })
	if b.cluster, err = newCluster("local", config, "test"); err != nil {
		p.t.Fatal(err)
	}
	return h
}

// live reads an object.
func (p *pair) live(name string) *unstructured.Unstructured {
	p.t.Helper()
	live, err := p.client(configMaps, "").Get(p.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	return live
}

// stands has a new revision converge, and the auditor see it as it stands.
func (p *pair) stands(objects ...string) {
	p.t.Helper()
	p.converge(objects...)
	p.given(p.one)
	for _, o := range p.bundle.Objects {
		p.sees(p.one, watch.Modified, p.live(o.Name))
	}
	p.given(p.one)
}

// key is the key of a ConfigMap of the test.
func (p *pair) key(name string) string { return objectKey("", "ConfigMap", p.namespace, name) }

// TestEachDivergenceIsToldByTheNewestThatIsKnown has the applier write a newer
// revision while an auditor looks at an application of which it has just found,
// and asked the log about, another divergence: what is live by then is held
// against the revision that asks for it.
func TestEachDivergenceIsToldByTheNewestThatIsKnown(t *testing.T) {
	p := newPair(t)
	p.stands(configMap("a", "k", "1"), configMap("b", "k", "1"))

	look := p.holdsLook(p.one, "b")
	p.sees(p.one, watch.Modified, p.patch(configMaps, "a", `[{"op":"replace","path":"/data/k","value":"x"}]`))
	p.sees(p.one, watch.Modified, p.patch(configMaps, "b", `[{"op":"replace","path":"/metadata/managedFields","value":[{}]}]`))
	stop := bustest.Run(t, p.one.consumer)
	<-look.asked
	p.commit()
	p.render(configMap("a", "k", "1"), configMap("b", "k", "2"))
	b := p.writeOne(p.bundle.Objects[1])
	close(look.let)
	p.hears("detected ConfigMap/a changed")
	p.applied(p.writeOne(p.bundle.Objects[0]), b)
	p.next(&events.ConvergenceCompleted{Converging: p.converging()}, p.applier)
	p.sees(p.one, watch.Modified, p.live("a"))
	p.sees(p.one, watch.Modified, p.live("b"))
	p.bus.Idle(t, "auditor-local")
	stop()
	p.given(p.one)
	p.hears("detected ConfigMap/a changed, resolved ConfigMap/a healed")
}

// TestABundleThatComesBackIsNotInPlaceBeforeTheWatchShowsTheOther has a revision
// taken back while the applier writes it. The watch has shown none of that yet,
// so that everything seems to be in place; what it shows then is on its way back.
func TestABundleThatComesBackIsNotInPlaceBeforeTheWatchShowsTheOther(t *testing.T) {
	p := newPair(t)
	p.stands(configMap("a", "k", "1"), configMap("b", "k", "1"))

	p.commit()
	p.render(configMap("a", "k", "2"), configMap("b", "k", "1"))
	other := p.bundle.Objects[0]
	p.given(p.one)
	p.commit()
	p.render(configMap("a", "k", "1"), configMap("b", "k", "1"))
	p.given(p.one)
	p.sees(p.one, watch.Modified, p.write(other))
	p.given(p.one)
	if got := story(p.heard()); got != "" {
		t.Errorf("heard %q of what is on its way back", got)
	}

	p.apply()
	p.given(p.one)
	p.sees(p.one, watch.Modified, p.patch(configMaps, "a", `[{"op":"replace","path":"/data/k","value":"x"}]`))
	p.given(p.one)
	p.hears("detected ConfigMap/a changed")
}

// TestAWriteThatTheLogTellsOfIsLookedFor has the applier put an object right while
// the watch is silent, as one is whose connection is half open.
func TestAWriteThatTheLogTellsOfIsLookedFor(t *testing.T) {
	p := newPair(t)
	p.stands(configMap("a", "k", "1"))
	p.sees(p.one, watch.Modified, p.patch(configMaps, "a", `[{"op":"replace","path":"/data/k","value":"x"}]`))
	p.given(p.one)
	p.hears("detected ConfigMap/a changed")
	p.apply()
	p.given(p.one)
	if got := story(p.heard()); got != "detected ConfigMap/a changed, resolved ConfigMap/a healed" {
		t.Errorf("heard %q", got)
	}
}

// TestAWatchThatLagsHealsNothing has a look find an object gone before the watch has
// shown that it ever was there: what the watch shows then is of before.
func TestAWatchThatLagsHealsNothing(t *testing.T) {
	p := newPair(t)
	p.converge(configMap("a", "k", "1"))
	was := p.live("a")
	p.delete("a")
	p.given(p.one)
	p.hears("detected ConfigMap/a missing")
	p.sees(p.one, watch.Added, was)
	p.given(p.one)
	p.sees(p.one, watch.Deleted, was)
	p.given(p.one)
	if got := story(p.heard()); got != "detected ConfigMap/a missing" {
		t.Errorf("heard %q", got)
	}
}

// TestAListIsNotComparedWithWhatCameAfterIt has a list wait, as it does while the
// bus is away, until the applier has written a newer revision and told of it.
func TestAListIsNotComparedWithWhatCameAfterIt(t *testing.T) {
	for name, after := range map[string]func(p *pair){
		"told by the log":  func(*pair) {},
		"seen by a look":   func(p *pair) { p.one.cache.looked(p.key("a"), metaOf(p.live("a"))) },
		"shown by a watch": func(p *pair) { p.one.cache.saw(p.key("a"), metaOf(p.live("a"))) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.stands(configMap("a", "k", "1"))
			listed := *p.live("a")
			p.converge(configMap("a", "k", "2"))
			after(p)
			p.one.backlog.queue("shared", events.Cause{ID: "level"}, work{load: true})
			done := make(chan struct{})
			go func() {
				defer close(done)
				p.one.page(t.Context(), scope{kind: schema.GroupKind{Kind: "ConfigMap"}, version: "v1"}, []unstructured.Unstructured{listed})
			}()
			bustest.Eventually(t, "the list waits", func() bool {
				p.one.backlog.mu.Lock()
				defer p.one.backlog.mu.Unlock()
				waiting := p.one.backlog.waits["shared"]
				return waiting != nil && len(waiting.listed) > 0
			})
			p.given(p.one)
			<-done
			p.given(p.one)
			if got := story(p.heard()); got != "" {
				t.Errorf("heard %q of what a list told of before it was written", got)
			}
		})
	}
}
