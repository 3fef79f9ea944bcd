// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/fleet"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/internal/seal"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

func TestMain(m *testing.M) { kubelab.Main(m) }

var (
	configMaps_ = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	namespaces  = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	secrets     = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
)

// rig is a real bus and a real cluster around an applier. Its tests share the
// cluster and run one after the other.
type rig struct {
	testing.TB
	lab       *kubelab.Cluster
	nats      *bustest.Server
	watcher   *bus.Conn
	renderer  *bus.Conn
	operator  *bus.Conn
	auditor   *bus.Conn
	reader    *bus.Conn
	admin     dynamic.Interface
	core      corev1client.CoreV1Interface // for inventories
	namespace string
	declared  map[string]events.Declaration
	invalid   []string // applications whose declaration was never valid
	commits   int

	// of the next applier
	wrap     func(http.RoundTripper) http.RoundTripper
	identity *seal.Identity
	grace    time.Duration
	timeout  time.Duration
	resync   time.Duration
	patience time.Duration
	believed time.Duration
	// namespaces that it is held to
	namespaces []string
	health     *process.Health

	// the applier that was started last, and its connection
	last *applier
	conn *bus.Conn

	hears *nats.Conn // brings what is seen

	mu   sync.Mutex
	seen []events.Event
}

func newRig(t testing.TB) *rig {
	t.Helper()
	return rigOn(t, kubelab.ForTest(t))
}

var rigs int

func rigOn(t testing.TB, lab *kubelab.Cluster) *rig {
	t.Helper()
	return rigWith(t, lab, bustest.Start(t))
}

func rigWith(t testing.TB, lab *kubelab.Cluster, s *bustest.Server) *rig {
	t.Helper()
	r := &rig{
		TB: t, lab: lab, nats: s, declared: map[string]events.Declaration{},
		watcher: s.Connect(t, "watcher"), renderer: s.Connect(t, "renderer"), operator: s.Connect(t, "operator"),
		auditor: s.Connect(t, "auditor-local"), reader: s.Connect(t, "reader"), grace: 300 * time.Millisecond, timeout: requestTimeout, resync: time.Hour,
		patience: awaitPatience, believed: fenceLife,
	}
	rigs++
	r.namespace = fmt.Sprintf("t%d-%s", rigs, strings.ToLower(strings.ReplaceAll(fmt.Sprintf("%.30s", strings.TrimPrefix(t.Name(), "Test")), "/", "-")))
	r.namespace = strings.Trim(r.namespace, "-_")
	rc, err := clientcmd.BuildConfigFromFlags("", lab.Kubeconfig())
	r.must(err)
	rc.QPS = -1
	r.admin, err = dynamic.NewForConfig(rc)
	r.must(err)
	r.core, err = inventoryClient(rc)
	r.must(err)
	r.clean()
	t.Cleanup(r.clean)
	r.create(namespaces, "", `{apiVersion: v1, kind: Namespace, metadata: {name: `+r.namespace+`}}`)
	r.hears = s.Dial(t, "reader")
	_, err = r.hears.Subscribe("plumbline.v1.>", func(m *nats.Msg) {
		e, err := events.Decode(m.Subject, m.Header, m.Data, 0)
		if err != nil {
			t.Errorf("event on %s: %v", m.Subject, err)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen = append(r.seen, e)
	})
	r.must(err)
	r.must(r.hears.Flush())
	return r
}

// clean removes what an earlier test has left of inventories and namespaces.
func (r *rig) clean() {
	ctx := context.Background()
	err := r.admin.Resource(configMaps_).Namespace(systemNamespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: labelInventory})
	if err != nil && !apierrors.IsNotFound(err) {
		r.Error(err)
	}
	if r.namespace != "" {
		if err := r.admin.Resource(namespaces).Delete(ctx, r.namespace, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			r.Error(err)
		}
	}
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// start runs an applier until the test ends or stop is called.
func (r *rig) start() (stop func()) {
	r.Helper()
	rc, err := clientcmd.BuildConfigFromFlags("", r.lab.Kubeconfig())
	r.must(err)
	if r.wrap != nil {
		rc.Wrap(r.wrap)
	}
	return r.startOn(rc)
}

func (r *rig) startOn(rc *rest.Config) (stop func()) {
	r.Helper()
	conn := r.nats.Connect(r, "applier-local")
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan error, 1)
	cfg := Config{Cluster: "local", Resync: r.resync, grace: r.grace, timeout: r.timeout, patience: r.patience, believed: r.believed, Namespaces: r.namespaces}
	a, err := newApplier(ctx, cfg, conn, rc, r.identity, bustest.Log(r))
	r.must(err)
	health := r.health
	go func() { done <- a.run(ctx, cfg, health) }()
	r.last, r.conn = a, conn
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				r.Errorf("applier: %v", err)
			}
			conn.Close()
		})
	}
	r.Cleanup(stop)
	return stop
}

// within calls fn in a queue of the applier that was started last, behind what
// waits there, and returns when it is done. That applier has to be at work: who
// has heard of anything that it did knows that it is.
func (r *rig) within(queue string, fn func(context.Context) error) {
	r.Helper()
	done := make(chan error, 1)
	r.commits++
	r.last.consumer.Observe(queue, events.Cause{ID: fmt.Sprint("within", r.commits)}, func(ctx context.Context) ([]events.Draft, error) {
		done <- fn(ctx)
		return nil, nil
	})
	select {
	case err := <-done:
		r.must(err)
	case <-time.After(bustest.Timeout):
		r.Fatalf("the queue %s doesn't come to it", queue)
	}
}

// begun waits until the applier that was started last has taken all looks at some
// applications that it takes of itself: at what it was given, and at the level, as
// it does at its start. One of the two has them converge, and the other may come
// long after it, and find what the test does next.
func (r *rig) begun(names ...string) {
	r.Helper()
	r.nats.Idle(r, "applier-local")
	for _, queue := range append([]string{".resync"}, names...) {
		r.within(queue, func(context.Context) error { return nil })
	}
}

// up starts the bus again, and waits until what is said is heard again.
func (r *rig) up() {
	r.Helper()
	r.nats.Up(r)
	r.eventually("what is said is heard", r.hears.IsConnected)
	r.must(r.hears.Flush())
}

// declare sets what the fleet says of an application; publish with fleet.
func (r *rig) declare(name string, change ...func(*events.Declaration)) {
	d := events.Declaration{
		Application: name, Cluster: "local", Namespace: r.namespace, Deletion: events.DeletionDelete,
		Source:   events.SourceSpec{Repository: name, Branch: "main", Path: name},
		Converge: events.Convergence{Mode: events.ModeAuto, Prune: true, Timeout: events.Duration(20 * time.Second)},
		Audit:    events.Audit{Heal: true, AlertAfter: events.Duration(time.Minute)},
	}
	for _, f := range change {
		f(&d)
	}
	r.declared[name] = d
}

// fleet publishes the list of what is declared.
func (r *rig) fleet() events.Event {
	r.Helper()
	var list []events.FleetEntry
	for name, d := range r.declared {
		list = append(list, events.FleetEntry{
			Application: name, DeclarationDigest: fleet.Digest(d), Repository: d.Source.Repository, Ref: d.Source.Ref(),
		})
	}
	for _, name := range r.invalid {
		list = append(list, events.FleetEntry{Application: name, Held: true})
	}
	data, err := json.Marshal(list)
	r.must(err)
	b, err := r.watcher.Blobs().Put(r.Context(), "plumbline.blob.watcher.fleet.local", data)
	r.must(err)
	r.commits++
	es, err := r.watcher.Publish(r.Context(), events.Cause{ID: fmt.Sprint("fleet", r.commits)}, events.Draft{
		Data: &events.FleetObserved{Commit: fmt.Sprint("f", r.commits), Count: len(list), List: b}, Address: events.Address{Cluster: "local"},
	})
	r.must(err)
	return es[0]
}

// observe publishes a commit.observed.
func (r *rig) observe(name string) (events.Event, *events.CommitObserved) {
	r.Helper()
	if _, ok := r.declared[name]; !ok {
		r.declare(name)
		r.fleet()
	}
	r.commits++
	return r.observeCommit(name, r.commits)
}

// observeCommit publishes a commit.observed of a commit that other
// applications may get too.
func (r *rig) observeCommit(name string, commit int) (events.Event, *events.CommitObserved) {
	r.Helper()
	r.commits++
	d := r.declared[name]
	p := &events.CommitObserved{
		Revision:    events.Revision{Commit: fmt.Sprintf("%040d", commit), Ref: "refs/heads/main", Cause: "commit", Trigger: "poll"},
		Declaration: d, DeclarationDigest: fleet.Digest(d),
	}
	es, err := r.watcher.Publish(r.Context(), events.Cause{ID: fmt.Sprint("commit", r.commits), Correlation: fmt.Sprint(name, "/", r.commits)},
		events.Draft{Data: p, Address: events.Address{Cluster: "local", Application: name}})
	r.must(err)
	return es[0], p
}

// render makes what the renderer makes of a revision.
func (r *rig) render(commit *events.CommitObserved, yaml string) *events.ManifestsRendered {
	r.Helper()
	objs, err := manifest.Parse("app.yaml", []byte(yaml))
	r.must(err)
	for i := range objs {
		if seal.IsSecret(objs[i].Body) && r.identity != nil {
			to, err := r.identity.Recipient()
			r.must(err)
			key, err := seal.NewDigestKey(slices.Repeat([]byte{7}, 32))
			r.must(err)
			objs[i].Body, err = seal.SealSecret(objs[i].Body, to, key)
			r.must(err)
		}
		objs[i].Digest = manifest.Digest(objs[i].Body)
	}
	manifest.Sort(objs)
	b := manifest.Bundle{Namespace: commit.Declaration.Namespace, Objects: objs}
	data, err := manifest.Encode(b)
	r.must(err)
	prefix := "plumbline.blob.renderer.local"
	stored, err := r.renderer.Blobs().Put(r.Context(), prefix, data)
	r.must(err)
	list := events.DeclaredObjects{Count: len(objs), Items: b.Declared()}
	if len(objs) > events.MaxInline {
		data, err := json.Marshal(list.Items)
		r.must(err)
		blob, err := r.renderer.Blobs().Put(r.Context(), prefix, data)
		r.must(err)
		list.Items, list.Blob = nil, &blob
	}
	return &events.ManifestsRendered{Manifests: events.Manifests{
		Revision: commit.Revision, Declaration: commit.Declaration,
		DeclarationDigest: commit.DeclarationDigest, Digest: b.Digest(), Bundle: stored, Objects: list, Renderer: "test",
	}}
}

// commit publishes a revision and its bundle.
func (r *rig) commit(name, yaml string) events.Event {
	r.Helper()
	c, p := r.observe(name)
	return r.publish(c, r.render(p, yaml))
}

// unchanged publishes a revision with the same bundle as the one before.
func (r *rig) unchanged(name, yaml string) events.Event {
	r.Helper()
	c, p := r.observe(name)
	return r.publish(c, &events.ManifestsUnchanged{Manifests: r.render(p, yaml).Manifests})
}

func (r *rig) publish(cause events.Event, p events.Payload) events.Event {
	r.Helper()
	es, err := r.renderer.Publish(r.Context(), events.CauseOf(cause), events.Draft{Data: p, Address: cause.Address})
	r.must(err)
	return es[0]
}

func (r *rig) approve(name, hold string) {
	r.Helper()
	_, err := r.operator.Publish(r.Context(), events.Cause{ID: "approve" + hold}, events.Draft{
		Data: &events.ApprovalGiven{Hold: hold, By: "test"}, Address: events.Address{Cluster: "local", Application: name},
	})
	r.must(err)
}

func (r *rig) sync() {
	r.Helper()
	r.commits++
	_, err := r.operator.Publish(r.Context(), events.Cause{ID: fmt.Sprint("sync", r.commits)}, events.Draft{Data: &events.SyncRequested{By: "test"}})
	r.must(err)
}

// diverged publishes a divergence.detected of an object.
func (r *rig) diverged(of events.Event, o events.Object) {
	r.Helper()
	r.commits++
	m := manifestsOf(of)
	cause := events.CauseOf(of)
	cause.ID = fmt.Sprint("divergence", r.commits)
	_, err := r.auditor.Publish(r.Context(), cause, events.Draft{
		Address: events.Address{Cluster: "local", Application: of.Application, Key: "k" + fmt.Sprint(r.commits)},
		Data:    &events.DivergenceDetected{Divergence: events.Divergence{Key: "k" + fmt.Sprint(r.commits), Kind: events.DivergenceChanged, Object: &o, Digest: m.Digest, Revision: m.Revision, Heal: true}},
	})
	r.must(err)
}

// eventually waits for a condition.
func (r *rig) eventually(what string, ok func() bool) {
	r.Helper()
	bustest.Eventually(r, what, ok)
}

// events returns the applier's events of an application so far.
func (r *rig) events(name string, verbs ...string) []events.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []events.Event
	for _, e := range r.seen {
		if e.Application == name && (e.Type.Noun == "convergence" || e.Type == typeOf(&events.ApplicationWithdrawn{})) &&
			(len(verbs) == 0 || slices.Contains(verbs, e.Type.Verb)) {
			list = append(list, e)
		}
	}
	return list
}

// await waits for the nth event (from 1) of a verb.
func (r *rig) await(name, verb string, nth int) events.Event {
	r.Helper()
	deadline := time.After(bustest.Timeout)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if list := r.events(name, verb); len(list) >= nth {
			return list[nth-1]
		}
		select {
		case <-tick.C:
		case <-deadline:
			r.Fatalf("no %s number %d of %s; there are %s", verb, nth, name, r.story(name))
		}
	}
}

// story is what the applier said of an application, for failing tests.
func (r *rig) story(name string) string {
	var b strings.Builder
	for _, e := range r.events(name) {
		data, err := json.Marshal(e.Data)
		r.must(err)
		fmt.Fprintf(&b, "\n%s %d %.600s", e.Type.Name(), e.Sequence, data)
	}
	return b.String()
}

func payload[P events.Payload](e events.Event) P {
	p, ok := e.Data.(P)
	if !ok {
		panic(fmt.Sprintf("%s is no %T", e.Type.Name(), p))
	}
	return p
}

func (r *rig) applied(name string, nth int) *events.ConvergenceApplied {
	r.Helper()
	return payload[*events.ConvergenceApplied](r.await(name, "applied", nth))
}

func (r *rig) object(yaml string) *unstructured.Unstructured {
	r.Helper()
	objs, err := manifest.Parse("x.yaml", []byte(yaml))
	r.must(err)
	return &unstructured.Unstructured{Object: objs[0].Body}
}

func (r *rig) create(gvr schema.GroupVersionResource, namespace, yaml string) *unstructured.Unstructured {
	r.Helper()
	u, err := r.client(gvr, namespace).Create(r.Context(), r.object(yaml), metav1.CreateOptions{FieldManager: "someone"})
	r.must(err)
	return u
}

func (r *rig) client(gvr schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return r.admin.Resource(gvr)
	}
	return r.admin.Resource(gvr).Namespace(namespace)
}

// get returns an object of the test's namespace, or nil.
func (r *rig) get(gvr schema.GroupVersionResource, name string) *unstructured.Unstructured {
	r.Helper()
	u, err := r.client(gvr, r.namespace).Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	r.must(err)
	return u
}

// edit changes an object as another manager.
func (r *rig) edit(gvr schema.GroupVersionResource, name, patch string) {
	r.Helper()
	_, err := r.client(gvr, r.namespace).Patch(r.Context(), name, "application/merge-patch+json", []byte(patch), metav1.PatchOptions{FieldManager: "kubectl-edit"})
	r.must(err)
}

// inventory reads an application's inventory from the cluster.
func (r *rig) inventory(name string) (Inventory, bool) {
	r.Helper()
	c, err := r.core.ConfigMaps(systemNamespace).Get(context.Background(), inventoryName(name), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Inventory{}, false
	}
	r.must(err)
	e := decodeInventory(c)
	r.must(e.broken)
	return e.Inventory, true
}

// counted is a transport that counts and can be told to fail.
type counted struct {
	mu     sync.Mutex
	lines  []string
	before func(n int, r *http.Request) (*http.Response, error) // n counts writes, from 1
	next   http.RoundTripper
	writes int
}

func (c *counted) wrap(next http.RoundTripper) http.RoundTripper {
	c.mu.Lock()
	c.next = next
	c.mu.Unlock()
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		c.mu.Lock()
		if r.URL.Query().Get("watch") == "" && !isWatchList(r.Context()) {
			c.lines = append(c.lines, r.Method+" "+r.URL.Path)
		}
		write := r.Method != http.MethodGet
		if write {
			c.writes++
		}
		n, before := c.writes, c.before
		c.mu.Unlock()
		if write && before != nil {
			if response, err := before(n, r); response != nil || err != nil {
				return response, err
			}
		}
		return next.RoundTrip(r)
	})
}

func (c *counted) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = nil
}

func (c *counted) requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.lines)
}

// sends reads what a request sends, and leaves it to be sent.
func sends(req *http.Request) (string, error) {
	data, err := io.ReadAll(req.Body)
	req.Body = io.NopCloser(bytes.NewReader(data))
	return string(data), err
}

func configMapYAML(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {key: %q}\n---\n", name, value)
}

func manyConfigMaps(n int, value string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(configMapYAML(fmt.Sprintf("c%02d", i), value))
	}
	return b.String()
}
