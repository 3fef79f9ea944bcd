// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumbline-dev/plumbline/test/binaries"
	"github.com/plumbline-dev/plumbline/test/kubelab"
	"github.com/plumbline-dev/plumbline/test/rig"
)

func TestMain(m *testing.M) { kubelab.Main(m) }

// The story holds from its first step to its last; with a service left out it
// ends at the step that needs it, and says what did not come.
func TestStory(t *testing.T) {
	bin, err := binaries.Build(t.Context(), binaries.Kind{})
	if err != nil {
		t.Fatal(err)
	}
	if told, err := telling(t, bin, ""); err != nil {
		t.Fatalf("%v\n%s", err, told)
	}
	for without, missing := range map[string]string{
		"watcher":  "no commit.observed",
		"renderer": "no manifests.rendered",
		"applier":  "no convergence.applied",
		"auditor":  "no divergence.detected",
		"notifier": "the channel of alerts never showed",
	} {
		told, err := telling(t, bin, without)
		if err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without the %s: want %q, got %v\n%s", without, missing, err, told)
		}
	}
}

func telling(t *testing.T, bin, without string) (string, error) {
	t.Helper()
	receivers, err := receive()
	if err != nil {
		t.Fatal(err)
	}
	defer receivers.close()
	r, err := rig.New(t.Context(), receivers.on(rig.Options{Dir: t.TempDir(), Bin: bin, Cluster: kubelab.ForTest(t)}))
	if err != nil {
		t.Fatal(err)
	}
	defer forget(t, r)
	var out bytes.Buffer
	s := &story{rig: r, out: receivers, tell: &teller{out: &out}, without: without, patience: patience}
	if without != "" {
		s.patience = 15 * time.Second // what is left out never comes
	}
	err = s.tellAll(t.Context())
	return out.String(), err
}

// forget leaves the cluster as it was found, for the next telling.
func forget(t *testing.T, r *rig.Rig) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	ctx := t.Context()
	inventories := r.Kube.Typed.CoreV1().ConfigMaps("plumbline-system")
	if err := inventories.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "plumbline.dev/inventory"}); err != nil {
		t.Error(err)
	}
	for _, namespace := range []string{"shop", "stock"} {
		if err := r.Kube.DeleteNamespace(ctx, namespace); err != nil {
			t.Error(err)
		}
	}
	crds := r.Kube.Dynamic.Resource(customResourceDefinitions)
	if err := crds.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "plumbline.dev/application"}); err != nil {
		t.Error(err)
	}
}
