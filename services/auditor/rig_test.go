// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/internal/seal"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

func TestMain(m *testing.M) { kubelab.Main(m) }

// rig is a real bus and a real API server. The test plays the watcher, the
// renderer and the applier, each under its own user of the bus; the auditor
// runs under its own, with a minted read-only identity.
type rig struct {
	t          *testing.T
	bus        *bustest.Server
	cluster    *kubelab.Cluster
	admin      *rest.Config
	objects    dynamic.Interface
	kubeconfig string
	namespace  string
	digestKey  string // file
	watcher    *bus.Conn
	renderer   *bus.Conn
	applier    *bus.Conn
	reader     *bus.Conn
	fleet      []string
}

var namespaces atomic.Int64

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOn(t, kubelab.ForTest(t))
}

func newRigOn(t *testing.T, cluster *kubelab.Cluster) *rig {
	t.Helper()
	r := &rig{t: t, bus: bustest.Start(t), cluster: cluster}
	var err error
	if r.admin, err = clientcmd.BuildConfigFromFlags("", cluster.Kubeconfig()); err != nil {
		t.Fatal(err)
	}
	r.admin.QPS = -1
	if r.objects, err = dynamic.NewForConfig(r.admin); err != nil {
		t.Fatal(err)
	}
	r.namespace = fmt.Sprintf("audit-%d-%d", time.Now().Unix()%100000, namespaces.Add(1))
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: r.namespace}}
	client := kubernetes.NewForConfigOrDie(r.admin)
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	id, err := MintReadOnly(t.Context(), r.admin, t.TempDir(), Grant{Secrets: true})
	if err != nil {
		t.Fatal(err)
	}
	r.kubeconfig = id.Kubeconfig
	r.watcher, r.renderer = r.bus.Connect(t, "watcher"), r.bus.Connect(t, "renderer")
	r.applier, r.reader = r.bus.Connect(t, "applier-local"), r.bus.Connect(t, "reader")
	return r
}

func (r *rig) config() Config {
	return Config{Bus: r.bus.Config("auditor-local"), Cluster: "local", Kubeconfig: r.kubeconfig, DigestKey: r.digestKey}
}

// audit runs the auditor until the test ends or stop is called.
func (r *rig) audit() (stop func()) { return r.auditWith(r.config()) }

func (r *rig) auditWith(cfg Config) (stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	env := process.Env{Name: "auditor", Version: "test", Log: bustest.Log(r.t), Health: &process.Health{}}
	go func() { done <- Run(ctx, env, cfg) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("auditor: %v", err)
		}
	}
	r.t.Cleanup(stop)
	return stop
}

// app is one application of a test.
type app struct {
	*rig
	declaration events.Declaration
	revision    int
	cause       events.Cause
	manifests   events.Manifests
	bundle      manifest.Bundle
}

func (r *rig) app(name string, change ...func(*events.Declaration)) *app {
	r.t.Helper()
	a := &app{rig: r, declaration: events.Declaration{
		Application: name, Cluster: "local", Namespace: r.namespace,
		Source:   events.SourceSpec{Repository: "shop", Branch: "main", Path: "deploy"},
		Converge: events.Convergence{Mode: events.ModeAuto, Prune: true, Timeout: events.Duration(time.Minute)},
		Deletion: events.DeletionDelete,
		Audit:    events.Audit{Heal: true, AlertAfter: events.Duration(time.Hour)},
	}}
	for _, c := range change {
		c(&a.declaration)
	}
	r.fleet = append(r.fleet, name)
	r.publishFleet()
	return a
}

func (r *rig) publishFleet() {
	r.t.Helper()
	entries := []events.FleetEntry{}
	for _, name := range r.fleet {
		entries = append(entries, events.FleetEntry{Application: name, DeclarationDigest: "sha256:d"})
	}
	data, err := json.Marshal(entries)
	if err != nil {
		r.t.Fatal(err)
	}
	blob, err := r.watcher.Blobs().Put(r.t.Context(), "plumbline.blob.watcher.fleet.local", data)
	if err != nil {
		r.t.Fatal(err)
	}
	r.publish(r.watcher, events.Cause{ID: fmt.Sprintf("fleet-%d", time.Now().UnixNano())}, events.Address{Cluster: "local"},
		&events.FleetObserved{Commit: "f", Count: len(entries), List: blob})
}

func (r *rig) publish(conn *bus.Conn, cause events.Cause, at events.Address, data events.Payload) events.Event {
	r.t.Helper()
	published, err := conn.Publish(r.t.Context(), cause, events.Draft{Data: data, Address: at})
	if err != nil {
		r.t.Fatalf("publish %T: %v", data, err)
	}
	return published[0]
}

func (a *app) at() events.Address {
	return events.Address{Cluster: "local", Application: a.declaration.Application}
}

func (a *app) next(data events.Payload, conn *bus.Conn) events.Event {
	a.t.Helper()
	cause := a.cause
	cause.ID = fmt.Sprintf("%s/%d", cause.ID, time.Now().UnixNano())
	return a.publish(conn, cause, a.at(), data)
}

// commit plays the watcher: a new revision is seen.
func (a *app) commit() {
	a.t.Helper()
	a.revision++
	e := a.publish(a.watcher, events.Cause{ID: fmt.Sprintf("%s-commit-%d", a.declaration.Application, a.revision)}, a.at(), &events.CommitObserved{
		Revision: a.rev(), Declaration: a.declaration, DeclarationDigest: "sha256:d",
	})
	a.cause = events.CauseOf(e)
}

func (a *app) rev() events.Revision {
	return events.Revision{Commit: fmt.Sprintf("%040d", a.revision), Ref: "refs/heads/main", Author: events.Person{Name: "Ada", Email: "ada@example.com"}, Title: "a change", Cause: "commit", Trigger: "poll"}
}

// render plays the renderer: the bundle of the newest revision is published.
func (a *app) render(documents ...string) {
	a.t.Helper()
	b := manifest.Bundle{Namespace: a.declaration.Namespace}
	for i, text := range documents {
		var body map[string]any
		if err := yaml.Unmarshal([]byte(text), &body); err != nil {
			a.t.Fatal(err)
		}
		data, _ := json.Marshal(body)
		body, err := manifest.DecodeBody(data)
		if err != nil {
			a.t.Fatal(err)
		}
		id, err := manifest.Identify(body)
		if err != nil {
			a.t.Fatal(err)
		}
		b.Objects = append(b.Objects, manifest.Object{Object: id, Digest: manifest.Digest(body), File: "deploy/all.yaml", Line: i + 1, Body: body,
			Since: events.Change{Commit: a.rev().Commit, Author: "Ada", Sequence: a.cause.Sequence}})
	}
	a.renderBundle(b)
}

func (a *app) renderBundle(b manifest.Bundle) {
	a.t.Helper()
	manifest.Sort(b.Objects)
	data, err := manifest.Encode(b)
	if err != nil {
		a.t.Fatal(err)
	}
	blob, err := a.renderer.Blobs().Put(a.t.Context(), "plumbline.blob.renderer.local", data)
	if err != nil {
		a.t.Fatal(err)
	}
	a.bundle = b
	a.manifests = events.Manifests{
		Revision: a.rev(), Declaration: a.declaration, DeclarationDigest: "sha256:d", Digest: b.Digest(), Bundle: blob,
		Objects: events.DeclaredObjects{Count: len(b.Objects), Items: b.Declared()}, Renderer: "test",
	}
	if list := b.Declared(); len(list) > events.MaxInline {
		data, err := json.Marshal(list)
		if err != nil {
			a.t.Fatal(err)
		}
		blob, err := a.renderer.Blobs().Put(a.t.Context(), "plumbline.blob.renderer.local", data)
		if err != nil {
			a.t.Fatal(err)
		}
		a.manifests.Objects.Items, a.manifests.Objects.Blob = nil, &blob
	}
	a.next(&events.ManifestsRendered{Manifests: a.manifests}, a.renderer)
}

// write plays the applier's write of one object; it returns what the API
// server made of it.
func (a *app) write(o manifest.Object) *unstructured.Unstructured {
	a.t.Helper()
	body := stamped(o.Body, a.declaration.Application, o.Digest)
	return a.applyAs(manifest.FieldManager, body)
}

func (r *rig) applyAs(manager string, body map[string]any) *unstructured.Unstructured {
	r.t.Helper()
	u := &unstructured.Unstructured{Object: body}
	client := r.client(u.GroupVersionKind(), u.GetNamespace())
	live, err := client.Apply(r.t.Context(), u.GetName(), u, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil {
		r.t.Fatalf("apply %s %s: %v", u.GetKind(), u.GetName(), err)
	}
	return live
}

// plurals of the kinds of the tests.
var plurals = map[string]string{
	"Deployment": "deployments", "ConfigMap": "configmaps", "Service": "services", "Secret": "secrets", "Gadget": "gadgets",
	"CustomResourceDefinition": "customresourcedefinitions", "Namespace": "namespaces", "ClusterRole": "clusterroles", "PersistentVolumeClaim": "persistentvolumeclaims",
}

func (r *rig) client(kind schema.GroupVersionKind, namespace string) dynamic.ResourceInterface {
	r.t.Helper()
	plural, ok := plurals[kind.Kind]
	if !ok {
		r.t.Fatalf("no plural of %s", kind.Kind)
	}
	client := r.objects.Resource(kind.GroupVersion().WithResource(plural))
	if kind.Kind == "CustomResourceDefinition" || kind.Kind == "ClusterRole" || kind.Kind == "Namespace" {
		return client
	}
	if namespace == "" {
		namespace = r.namespace
	}
	return client.Namespace(namespace)
}

// apply plays the applier: everything is written, and said.
func (a *app) apply() {
	a.t.Helper()
	a.applied(a.writeAll()...)
	a.next(&events.ConvergenceCompleted{Converging: a.converging()}, a.applier)
}

func (a *app) writeAll() []events.AppliedObject {
	a.t.Helper()
	var list []events.AppliedObject
	for _, o := range a.bundle.Objects {
		live := a.write(o)
		id := o.Object
		id.Namespace = live.GetNamespace()
		list = append(list, events.AppliedObject{Object: id, Action: events.ActionConfigured, Digest: o.Digest, UID: string(live.GetUID()), Fields: metaOf(live).Ours.Fields})
	}
	return list
}

func (a *app) converging() events.Converging {
	return events.Converging{Revision: a.rev(), Digest: a.manifests.Digest, Cause: "revision"}
}

func (a *app) applied(list ...events.AppliedObject) {
	a.t.Helper()
	objects := events.AppliedObjects{Count: len(list), Items: list}
	if len(list) > events.MaxInline {
		data, err := json.Marshal(list)
		if err != nil {
			a.t.Fatal(err)
		}
		blob, err := a.applierConn().Blobs().Put(a.t.Context(), "plumbline.blob.applier.local", data)
		if err != nil {
			a.t.Fatal(err)
		}
		objects.Items, objects.Blob = nil, &blob
	}
	a.next(&events.ConvergenceApplied{Converging: a.converging(), Objects: objects}, a.applier)
}

func (a *app) applierConn() *bus.Conn { return a.rig.applier }

// converge is a whole revision, from commit to completed.
func (a *app) converge(documents ...string) {
	a.t.Helper()
	a.commit()
	a.render(documents...)
	a.apply()
}

// heard is the divergence events of an application so far, in order.
func (a *app) heard() []events.Event {
	a.t.Helper()
	var all []events.Event
	filter := events.Root + ".divergence.*.local." + events.EncodeToken(a.declaration.Application) + ".*"
	_, err := a.reader.Read(a.t.Context(), bus.Range{Filter: filter}, func(record bus.Record) error {
		if record.Err != nil {
			return record.Err
		}
		all = append(all, record.Event)
		return nil
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return all
}

// story is what was heard, as text: "detected ConfigMap/settings, ...".
func story(all []events.Event) string {
	var words []string
	for _, e := range all {
		d := divergenceOf(e)
		name := "revision"
		if d.Object != nil {
			name = d.Object.Kind + "/" + d.Object.Name
		}
		word := e.Type.Verb + " " + name
		if resolved, ok := e.Data.(*events.DivergenceResolved); ok {
			word += " " + resolved.How
		} else {
			word += " " + string(d.Kind)
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func divergenceOf(e events.Event) events.Divergence {
	switch data := e.Data.(type) {
	case *events.DivergenceDetected:
		return data.Divergence
	case *events.DivergencePersisted:
		return data.Divergence
	case *events.DivergenceResolved:
		return data.Divergence
	}
	return events.Divergence{}
}

// hears waits until the application's story is want, and returns its events.
func (a *app) hears(want string) []events.Event {
	a.t.Helper()
	var all []events.Event
	var got string
	deadline := time.Now().Add(bustest.Timeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		if all = a.heard(); story(all) == want {
			return all
		}
		got = story(all)
		<-tick.C
	}
	a.t.Fatalf("%s: heard %q, want %q", a.declaration.Application, got, want)
	return nil
}

// quiet makes sure that nothing more than want is heard: it has the auditor
// find a marker that is changed after what is being tested, and then counts.
func (a *app) quiet(want string) {
	a.t.Helper()
	marker := a.marker()
	marker.edit("/data/k", "changed")
	marker.hears("detected ConfigMap/" + marker.name() + " changed")
	if got := story(a.heard()); got != want {
		a.t.Fatalf("%s: heard %q, want %q", a.declaration.Application, got, want)
	}
	marker.converge(configMap(marker.name(), "k", "v"))
	marker.hears("detected ConfigMap/" + marker.name() + " changed, resolved ConfigMap/" + marker.name() + " healed")
}

type markerApp struct{ *app }

func (m markerApp) name() string { return m.declaration.Application }

func (m markerApp) edit(pointer, value string) {
	m.t.Helper()
	m.patch(gvk("", "v1", "ConfigMap"), m.name(), fmt.Sprintf(`[{"op":"replace","path":%q,"value":%q}]`, pointer, value))
}

var markers atomic.Int64

func (a *app) marker() markerApp {
	a.t.Helper()
	m := markerApp{a.rig.app(fmt.Sprintf("marker-%d", markers.Add(1)))}
	m.converge(configMap(m.name(), "k", "v"))
	return m
}

func gvk(group, version, kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: group, Version: version, Kind: kind}
}

// patch is a hand edit: a JSON patch under kubectl's usual manager.
func (r *rig) patch(kind schema.GroupVersionKind, name, patch string, subresources ...string) *unstructured.Unstructured {
	r.t.Helper()
	live, err := r.client(kind, "").Patch(r.t.Context(), name, "application/json-patch+json", []byte(patch), metav1.PatchOptions{FieldManager: "kubectl-edit"}, subresources...)
	if err != nil {
		r.t.Fatalf("patch %s %s: %v", kind.Kind, name, err)
	}
	return live
}

func configMap(name string, pairs ...string) string {
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata:\n"
	for i := 0; i < len(pairs); i += 2 {
		text += fmt.Sprintf("  %q: %q\n", pairs[i], pairs[i+1])
	}
	return text
}

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web, tier: front}, annotations: {note: ours}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.example/web:1
        args: ["--a", "--b"]
        env: [{name: MODE, value: prod}, {name: LEVEL, value: info}]
        ports: [{containerPort: 80}, {containerPort: 81, name: admin}]
        resources: {limits: {cpu: 1000m, memory: 1024Mi}, requests: {cpu: "0.5"}}
`

var deployments = gvk("apps", "v1", "Deployment")

func paths(d events.Divergence) []string {
	var out []string
	for _, f := range d.Fields {
		out = append(out, f.Path)
	}
	slices.Sort(out)
	return out
}

// withDigestKey gives the auditor the cluster's digest key.
func (r *rig) withDigestKey() seal.DigestKey {
	r.t.Helper()
	key, err := seal.NewDigestKey([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.digestKey = r.t.TempDir() + "/digest.key"
	if err := seal.WriteDigestKey(r.digestKey, key); err != nil {
		r.t.Fatal(err)
	}
	return key
}

// inNamespace makes a namespace of its own for a subtest.
func (r *rig) inNamespace(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("%s-%d", r.namespace, namespaces.Add(1))
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := kubernetes.NewForConfigOrDie(r.admin).CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}

// established waits until a custom resource is served.
func (r *rig) established(name string) {
	r.t.Helper()
	bustest.Eventually(r.t, name+" is established", func() bool {
		crd, err := r.client(gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), "").Get(r.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return false
		}
		conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
		return slices.ContainsFunc(conditions, func(c any) bool {
			m, _ := c.(map[string]any)
			return m["type"] == "Established" && m["status"] == "True"
		})
	})
}

// settles waits until the deployments of a test have been acted upon by their
// controller, so that its writes don't race with those of the test.
func (a *app) settles() {
	a.t.Helper()
	for _, o := range a.bundle.Objects {
		if o.Kind != "Deployment" {
			continue
		}
		bustest.Eventually(a.t, "the deployment is observed", func() bool {
			live, err := a.client(deployments, "").Get(a.t.Context(), o.Name, metav1.GetOptions{})
			if err != nil {
				return false
			}
			observed, _, _ := unstructured.NestedInt64(live.Object, "status", "observedGeneration")
			return observed == live.GetGeneration()
		})
	}
}

// loseLog loses the store of the bus, with the server stopped.
func (r *rig) loseLog() {
	r.t.Helper()
	store := r.bus.Store()
	r.bus.Down(r.t)
	if err := os.RemoveAll(store); err != nil {
		r.t.Fatal(err)
	}
	r.bus.Up(r.t)
}

// idle is an auditor that is not running, to be called by hand; it takes every
// ConfigMap to be known.
func (r *rig) idle() *Auditor {
	r.t.Helper()
	config, err := loadConfig(r.kubeconfig)
	if err != nil {
		r.t.Fatal(err)
	}
	cluster, err := newCluster("local", config, "test")
	if err != nil {
		r.t.Fatal(err)
	}
	b := newAuditor(Config{Cluster: "local"}, bustest.Log(r.t), r.bus.Connect(r.t, "auditor-local"), cluster, seal.DigestKey{})
	s := scope{kind: schema.GroupKind{Kind: "ConfigMap"}, version: "v1"}
	known := &reader{scope: s}
	known.reading.Store(int32(Listed))
	b.readers.running[s] = &runningReader{reader: known, stop: func() {}}
	return b
}

// clusterOfItsOwn is a control plane for a test that ends it.
func clusterOfItsOwn(t *testing.T) *kubelab.Cluster {
	t.Helper()
	return kubelab.New(t, kubelab.Options{})
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
