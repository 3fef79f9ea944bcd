// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// root is the repository, from this package.
const root = "../.."

// overlays are the kustomizations that somebody applies.
var overlays = []string{"deploy/kubernetes/overlays/namespaced", "deploy/kubernetes/overlays/cluster-wide", "tilt/kubernetes"}

// render is what 'kustomize build' makes of a folder of the repository. Many tests
// ask for the same few folders: each is built once.
func render(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	rendered.Lock()
	defer rendered.Unlock()
	text, known := rendered.texts[folder]
	if !known {
		text = kustomize(t, folder)
		rendered.texts[folder] = text
	}
	return parse(t, text)
}

// rendered are the folders that were built.
var rendered = struct {
	sync.Mutex
	texts map[string]string
}{texts: map[string]string{}}

func kustomize(t *testing.T, folder string) string {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, folder))
	if err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	return string(text)
}

// parse reads a stream of YAML documents.
func parse(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for document := range strings.SplitSeq("\n"+text, "\n---\n") {
		if strings.TrimSpace(document) == "" {
			continue
		}
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(document), &o.Object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		objects = append(objects, o)
	}
	return objects
}

// as reads an object as its Go type, strictly.
func as[T any](t *testing.T, o *unstructured.Unstructured) *T {
	t.Helper()
	into := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, into, true); err != nil {
		t.Fatalf("%s: %v", named(o), err)
	}
	return into
}

// named is an object's kind, namespace and name, for people.
func named(o *unstructured.Unstructured) string {
	return strings.Join(slices.DeleteFunc([]string{o.GetKind(), o.GetNamespace(), o.GetName()}, func(s string) bool { return s == "" }), " ")
}

// workload is a Deployment or a StatefulSet, as far as its pods go.
type workload struct {
	*unstructured.Unstructured
	pod corev1.PodTemplateSpec
}

// workloads are those of a list of objects, by name.
func workloads(t *testing.T, objects []*unstructured.Unstructured) map[string]workload {
	t.Helper()
	found := map[string]workload{}
	for _, o := range objects {
		template, ok, err := unstructured.NestedMap(o.Object, "spec", "template")
		if err != nil {
			t.Fatal(err)
		}
		if !ok || o.GroupVersionKind().Group != "apps" {
			continue
		}
		found[o.GetName()] = workload{o, *as[corev1.PodTemplateSpec](t, &unstructured.Unstructured{Object: template})}
	}
	return found
}
