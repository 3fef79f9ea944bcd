// SPDX-License-Identifier: Apache-2.0

package kubelab_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// A new cluster begins with a copy of another's data. What is only right in that
// one must not show, from the first request on.
func TestTemplateLeavesNothingOfItsCluster(t *testing.T) {
	began := time.Now().Add(-time.Second) // the API server's times are whole seconds
	leavesNothing(t, kubelab.New(t, kubelab.Options{}), began)
}

// So it is with one that was killed when it had the copy and nothing else.
func TestTemplateLeavesNothingInAKilledStart(t *testing.T) {
	binary, err := kubelab.Binary(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	kubelab.ForTest(t) // there is a template then
	dir := t.TempDir()
	err = os.CopyFS(filepath.Join(dir, "etcd"), os.DirFS(filepath.Join(filepath.Dir(binary), "template")))
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "foreign"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	began := time.Now().Add(-time.Second)
	leavesNothing(t, kubelab.New(t, kubelab.Options{Dir: dir}), began)
}

func leavesNothing(t *testing.T, cluster *kubelab.Cluster, began time.Time) {
	t.Helper()
	api := client(t, cluster.Kubeconfig())
	authority := string(restConfig(t, cluster.Kubeconfig()).CAData)

	eventually(t, 30*time.Second, func(ctx context.Context) error {
		maps, err := api.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		found := 0
		for _, m := range maps.Items {
			for _, key := range []string{"ca.crt", "client-ca-file"} {
				switch certificates, ok := m.Data[key]; {
				case !ok:
				case strings.TrimSpace(certificates) != strings.TrimSpace(authority):
					t.Fatalf("%s in %s/%s is not the cluster's authority: %s", key, m.Namespace, m.Name, certificates)
				default:
					found++
				}
			}
		}
		if found != 5 { // kube-root-ca.crt of the 4 namespaces, extension-apiserver-authentication
			return fmt.Errorf("the authority is in %d of 5 ConfigMaps", found)
		}
		return nil
	})
	bundles, err := api.CertificatesV1().ClusterTrustBundles().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, bundle := range bundles.Items {
		if strings.TrimSpace(bundle.Spec.TrustBundle) != strings.TrimSpace(authority) {
			t.Errorf("%s does not hold the cluster's authority", bundle.Name)
		}
	}
	service, err := api.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if port := service.Spec.Ports[0].TargetPort.String(); !strings.HasSuffix(cluster.Server(), ":"+port) {
		t.Errorf("the Service kubernetes goes to port %s, the server is %s", port, cluster.Server())
	}
	leases, err := api.CoordinationV1().Leases("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, lease := range leases.Items {
		if lease.CreationTimestamp.Time.Before(began) {
			t.Errorf("lease %s is from %s", lease.Name, lease.CreationTimestamp)
		}
	}
	events, err := api.CoreV1().Events("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range events.Items {
		if event.CreationTimestamp.Time.Before(began) {
			t.Errorf("event %s is from %s", event.Name, event.CreationTimestamp)
		}
	}
}
