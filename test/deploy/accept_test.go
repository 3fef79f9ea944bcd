// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plumbline-dev/plumbline/test/kubelab"
)

func TestMain(m *testing.M) { kubelab.Main(m) }

// server is a real API server, as its administrator.
type server struct {
	typed   kubernetes.Interface
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

func newServer(t *testing.T) server {
	t.Helper()
	return serverOf(t, kubelab.ForTest(t))
}

func serverOf(t *testing.T, cluster *kubelab.Cluster) server {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", cluster.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	s := server{}
	if s.typed, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if s.dynamic, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	s.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kinds))
	return s
}

// apply applies an object as 'kubectl apply --server-side --validate=strict'
// would.
func (s server) apply(ctx context.Context, o *unstructured.Unstructured) error {
	gvk := o.GroupVersionKind()
	mapping, err := s.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return err
	}
	data, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	force := true
	_, err = s.dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace()).Patch(ctx, o.GetName(), "application/apply-patch+yaml", data, metav1.PatchOptions{
		FieldManager: "deploy-test", Force: &force, FieldValidation: metav1.FieldValidationStrict,
	})
	return err
}

// namespaces makes the namespaces that are there before an overlay is applied:
// those of the applications.
func (s server) namespaces(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	own := map[string]bool{"": true}
	for _, o := range objects {
		if o.GetKind() == "Namespace" {
			own[o.GetName()] = true
		}
	}
	for _, o := range objects {
		if own[o.GetNamespace()] {
			continue
		}
		own[o.GetNamespace()] = true
		_, err := s.typed.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.GetNamespace()}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
}

// namespacesFirst is the order in which kubectl and Tilt apply.
func namespacesFirst(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	sorted := slices.Clone(objects)
	slices.SortStableFunc(sorted, func(a, b *unstructured.Unstructured) int {
		switch {
		case a.GetKind() == b.GetKind():
			return 0
		case a.GetKind() == "Namespace":
			return -1
		case b.GetKind() == "Namespace":
			return 1
		}
		return 0
	})
	return sorted
}

// Every object of every overlay is taken by a real API server, field by field,
// and every pod by its admission, which enforces the restricted standard.
func TestAPIServerTakesEveryObject(t *testing.T) {
	s := newServer(t)
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) {
			objects := namespacesFirst(render(t, overlay))
			s.namespaces(t, objects)
			for _, o := range objects {
				if err := s.apply(t.Context(), o); err != nil {
					t.Errorf("%s: %v", named(o), err)
					continue
				}
				t.Logf("taken: %s", named(o))
			}
			for _, w := range workloads(t, objects) {
				if err := s.admit(t.Context(), w); err != nil {
					t.Errorf("a pod of %s: %v", named(w.Unstructured), err)
				}
			}
		})
	}
}

// admit asks for a pod of a workload, without making it.
func (s server) admit(ctx context.Context, w workload) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: w.GetName() + "-", Labels: w.pod.Labels}, Spec: w.pod.Spec}
	for _, claim := range claims(w) { // which the StatefulSet's controller puts in
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: claim, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim + "-" + w.GetName() + "-0"},
		}})
	}
	_, err := s.typed.CoreV1().Pods(w.GetNamespace()).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
	return err
}

func claims(w workload) []string {
	var names []string
	templates, _, _ := unstructured.NestedSlice(w.Object, "spec", "volumeClaimTemplates") //nolint:errcheck // a Deployment has none
	for _, c := range templates {
		if c, ok := c.(map[string]any); ok {
			name, _, _ := unstructured.NestedString(c, "metadata", "name") //nolint:errcheck // the API server has taken it
			names = append(names, name)
		}
	}
	return names
}

// The namespace refuses what isn't restricted: that the pods are taken says
// something.
func TestNamespaceRefusesAPodThatIsNotRestricted(t *testing.T) {
	s := newServer(t)
	objects := namespacesFirst(render(t, overlays[1]))
	for _, o := range objects {
		if o.GetKind() == "Namespace" || o.GetKind() == "ServiceAccount" {
			if err := s.apply(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
	}
	for what, loosen := range map[string]func(*corev1.PodSpec){
		"as root":             func(p *corev1.PodSpec) { p.SecurityContext.RunAsNonRoot, p.SecurityContext.RunAsUser = nil, nil },
		"without seccomp":     func(p *corev1.PodSpec) { p.SecurityContext.SeccompProfile = nil },
		"with capabilities":   func(p *corev1.PodSpec) { p.Containers[0].SecurityContext.Capabilities = nil },
		"with more privilege": func(p *corev1.PodSpec) { p.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil },
	} {
		w := workloads(t, objects)["plumbline-watcher"]
		loosen(&w.pod.Spec)
		if err := s.admit(t.Context(), w); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "PodSecurity") {
			t.Errorf("a pod %s: %v", what, err)
		}
	}
}
