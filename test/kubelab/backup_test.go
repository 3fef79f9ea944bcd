// SPDX-License-Identifier: Apache-2.0

package kubelab_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// version is the resourceVersion of the list of ConfigMaps.
func version(t *testing.T, api kubernetes.Interface) int {
	t.Helper()
	list, err := api.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(list.ResourceVersion)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// endings take one cluster through every way to end and to start again. Its
// clients were made before: they must go on working after each, for that is
// what a service under test has.
type endings struct {
	*kubelab.Cluster
	api    *kubernetes.Clientset
	user   string // the kubeconfig of a user
	server string
}

func newEndings(t *testing.T) endings {
	t.Helper()
	cluster := kubelab.New(t, kubelab.Options{})
	user, err := cluster.UserKubeconfig("minted-before")
	if err != nil {
		t.Fatal(err)
	}
	return endings{Cluster: cluster, api: client(t, cluster.Kubeconfig()), user: user, server: cluster.Server()}
}

// survive wants a cluster that is ended and started again to have its objects
// and its address, to know the user of before, and to run a pod.
func (e endings) survive(t *testing.T, how string, end func() error, start func(context.Context) error) {
	t.Helper()
	createConfigMap(t, e.api, how)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if err := refused(t.Context(), strings.TrimPrefix(e.server, "https://")); err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	if err := start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s; started again in %s", how, e.BootTime().Round(time.Millisecond))
	if e.Server() != e.server {
		t.Fatalf("%s: server moved from %s to %s", how, e.server, e.Server())
	}
	if _, err := e.api.CoreV1().ConfigMaps("default").Get(t.Context(), how, metav1.GetOptions{}); err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	if _, err := client(t, e.user).Discovery().ServerVersion(); err != nil {
		t.Fatalf("%s: a kubeconfig minted before: %v", how, err)
	}
	runsPod(t, e.api, how)
}

// runsPod wants a pod to become ready at once: much sooner than the 40 s after
// which a node that nobody plays would be taken over.
func runsPod(t *testing.T, api kubernetes.Interface, name string) {
	t.Helper()
	pods := api.CoreV1().Pods("default")
	_, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: podTemplate(nil).Spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, func(ctx context.Context) error {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("%s: the pod's status is %+v", name, pod.Status)
	})
}

// A cluster that is put back has the objects of then. Without a bump its
// resourceVersions come back too; with one they don't, and what was before is
// answered with 410.
func TestRestartAndRestore(t *testing.T) {
	cluster := newEndings(t)
	api := cluster.api
	maps := api.CoreV1().ConfigMaps("default")
	cluster.survive(t, "killed", cluster.Kill, cluster.Restart)
	createConfigMap(t, api, "before")
	backup := filepath.Join(t.TempDir(), "backup")
	// Asked before: the API server writes by itself too, also between the two.
	saved := version(t, api)
	cluster.survive(t, "stopped", cluster.Stop, func(ctx context.Context) error { return cluster.Save(ctx, backup) })
	for range 200 {
		if _, err := maps.Patch(t.Context(), "before", "application/merge-patch+json", []byte(`{"data":{"n":"`+strconv.Itoa(version(t, api))+`"}}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	createConfigMap(t, api, "after")
	seen := version(t, api)

	if err := cluster.Restore(t.Context(), backup, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Get(t.Context(), "before", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := maps.Get(t.Context(), "after", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what came after the backup: %v", err)
	}
	if now := version(t, api); now < saved || now >= seen {
		t.Errorf("without a bump the resourceVersion is %d; it was %d when it was saved and %d when it was lost", now, saved, seen)
	}

	if err := cluster.Restore(t.Context(), backup, 10_000); err != nil {
		t.Fatal(err)
	}
	if now := version(t, api); now < saved+10_000 {
		t.Errorf("with a bump of 10000 the resourceVersion is %d; it was %d when it was saved", now, saved)
	}
	expired(t, api, seen)
}

// expired wants a watch from a resourceVersion to be refused: it is too old.
func expired(t *testing.T, api kubernetes.Interface, version int) {
	t.Helper()
	watch, err := api.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{ResourceVersion: strconv.Itoa(version)})
	if err == nil {
		defer watch.Stop()
		e := <-watch.ResultChan()
		err = apierrors.FromObject(e.Object)
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("a watch from %d, which is compacted, ends with %v", version, err)
	}
}

func TestCompact(t *testing.T) {
	cluster := kubelab.ForTest(t) // this package's tests run one at a time
	api := client(t, cluster.Kubeconfig())
	old := version(t, api)
	newNamespace(t, api)
	then := metav1.ListOptions{ResourceVersion: strconv.Itoa(old), ResourceVersionMatch: metav1.ResourceVersionMatchExact}
	if _, err := api.CoreV1().ConfigMaps("default").List(t.Context(), then); err != nil {
		t.Fatalf("what was before is not there: %v", err)
	}
	if err := cluster.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What the API server holds in memory it goes on to serve.
	if err := cluster.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := api.CoreV1().ConfigMaps("default").List(t.Context(), then); !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("a list as of %d, which is compacted, ends with %v", old, err)
	}
}
