// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	kube "github.com/plumbline-dev/plumbline/internal/cluster"
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
	listener   *nats.Conn // a reader that is told
	fleet      []string
	fleets     *atomic.Int64 // lists published, by whatever copy
}

var namespaces atomic.Int64

// newRig is a rig on the cluster that the package's tests share. They run one
// after another, so that one of them may end the cluster or put it back to an
// older state: it is there again for the next.
func newRig(t *testing.T) *rig {
	t.Helper()
	cluster := kubelab.ForTest(t)
	t.Cleanup(func() {
		select {
		case <-cluster.Done():
			if err := cluster.Restart(context.Background()); err != nil {
				t.Error(err)
			}
		default:
		}
	})
	return newRigOn(t, cluster)
}

// newRigAlone is a rig on a cluster of its own, for tests that define a kind and
// delete its definition: until a cluster has deleted one, nobody can make another,
// and a busy one was seen not to have in a minute and a half.
func newRigAlone(t *testing.T) *rig {
	t.Helper()
	return newRigOn(t, kubelab.New(t, kubelab.Options{}))
}

func newRigOn(t *testing.T, cluster *kubelab.Cluster) *rig {
	t.Helper()
	r := &rig{t: t, bus: bustest.Start(t), cluster: cluster, fleets: &atomic.Int64{}}
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
	r.listener = r.bus.Dial(t, "reader")
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
	return r.idleOn(r.bus.Connect(r.t, "auditor-local"))
}

func (r *rig) idleOn(conn *bus.Conn) *Auditor {
	r.t.Helper()
	config, err := kube.Config(r.kubeconfig)
	if err != nil {
		r.t.Fatal(err)
	}
	cluster, err := newCluster("local", config, "test")
	if err != nil {
		r.t.Fatal(err)
	}
	b := newAuditor(Config{Cluster: "local"}, bustest.Log(r.t), conn, cluster, seal.DigestKey{})
	s := scope{kind: schema.GroupKind{Kind: "ConfigMap"}, version: "v1"}
	known := &reader{scope: s}
	known.reading.Store(int32(Listed))
	b.readers.running[s] = &runningReader{reader: known, stop: func() {}}
	return b
}
