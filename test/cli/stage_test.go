// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	corev1 "k8s.io/api/core/v1"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/seal"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// stage is where one script plays.
type stage struct {
	t         *testing.T
	bus       *bustest.Server
	cluster   *kubelab.Cluster
	namespace string
	objects   dynamic.Interface
	mapper    *restmapper.DeferredDiscoveryRESTMapper

	watcher, renderer, applier, auditor *bus.Conn

	identity  seal.Identity
	recipient seal.Recipient
	digestKey seal.DigestKey
	keyFile   string

	said int // events published, for their ids
	apps map[string]*app
}

// app is one application of a script: its newest revision and bundle.
type app struct {
	name      string
	observed  events.Event
	manifests events.Manifests
	bundle    manifest.Bundle
	rules     []events.IgnoreRule
	prune     bool
	mode      events.Mode
}

// connect is a connection as a service of the recorded version has it.
func connect(t *testing.T, server *bustest.Server, user string) *bus.Conn {
	t.Helper()
	cfg := server.Config(user)
	cfg.Version = version
	c, err := bus.Connect(t.Context(), cfg, bustest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newStage(t *testing.T, server *bustest.Server, lab *kubelab.Cluster, name string) *stage {
	t.Helper()
	s := &stage{
		t: t, bus: server, cluster: lab, namespace: fmt.Sprintf("cli-%s-%d", name, time.Now().UnixNano()%1_000_000), apps: map[string]*app{},
		watcher: connect(t, server, "watcher"), renderer: connect(t, server, "renderer"),
		applier: connect(t, server, "applier-local"), auditor: connect(t, server, "auditor-local"),
	}
	config, err := clientcmd.BuildConfigFromFlags("", lab.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	client := kubernetes.NewForConfigOrDie(config)
	s.objects = dynamic.NewForConfigOrDie(config)
	s.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s.identity, s.recipient, err = seal.EnsureIdentity(filepath.Join(dir, "local.age"))
	key, err2 := seal.NewDigestKey([]byte("0123456789abcdef0123456789abcdef"))
	s.digestKey, s.keyFile = key, filepath.Join(dir, "local.digest.key")
	if err := errors.Join(err, err2, seal.WriteDigestKey(s.keyFile, key)); err != nil {
		t.Fatal(err)
	}
	return s
}

// prepare tells a script where everything is.
func (s *stage) prepare(env *testscript.Env, binary string) error {
	env.Setenv("PATH", binary+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("SERVER", s.bus.URL())
	keys := filepath.Dir(s.bus.Config("operator").Creds)
	env.Setenv("KEYS", keys)
	env.Setenv("CREDS", filepath.Join(keys, "operator.nk"))
	env.Setenv("KUBECONFIG", s.cluster.Kubeconfig())
	env.Setenv("DIGEST_KEY", s.keyFile)
	env.Setenv("NS", s.namespace)
	nobody, err := s.cluster.UserKubeconfig("nobody-" + s.namespace)
	if err != nil {
		return err
	}
	env.Setenv("NOBODY", nobody)
	env.Setenv("TZ", "UTC")
	env.Setenv("HOME", env.WorkDir)
	return nil
}

func (s *stage) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), bustest.Timeout)
}

// resource is where the kind of an object is served.
func (s *stage) resource(u *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := u.GroupVersionKind()
	mapping, err := s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, err
	}
	namespace := u.GetNamespace()
	if namespace == "" {
		namespace = s.namespace
	}
	if mapping.Scope.Name() == "root" {
		return s.objects.Resource(mapping.Resource), nil
	}
	return s.objects.Resource(mapping.Resource).Namespace(namespace), nil
}
