// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumbline-dev/plumbline/internal/fleet"
)

// The sample fleet of the Tiltfile is one: it is declared without fault, and a
// real API server takes what its applications declare.
func TestSampleFleet(t *testing.T) {
	const folder = "tilt/fleet"
	settings := configMaps(t, render(t, "tilt/kubernetes"))
	s := newServer(t)
	for _, set := range settings {
		declared := fleet.Parse(files(t, filepath.Join(folder, set["FLEET_PATH"])))
		for _, r := range declared.Rejections {
			t.Errorf("%+v", r)
		}
		if len(declared.Applications) == 0 {
			t.Error("it declares nothing")
		}
		for _, r := range declared.Repositories {
			if r.URL != set["FLEET"] {
				t.Errorf("the repository %s is not the one that is served: %s", r.Name, r.URL)
			}
		}
		for _, a := range declared.Applications {
			path := filepath.Join(folder, a.Source.Path)
			objects := documents(t, path)
			for _, o := range objects {
				o.SetNamespace(a.Namespace)
			}
			s.namespaces(t, objects)
			for _, o := range objects {
				if err := s.apply(t.Context(), o); err != nil {
					t.Errorf("%s: %s: %v", a.Application, named(o), err)
				}
			}
		}
	}
}

// files are the files of a folder, as the fleet is read.
func files(t *testing.T, folder string) []fleet.File {
	t.Helper()
	var all []fleet.File
	entries, err := os.ReadDir(filepath.Join(root, folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, fleet.File{Path: e.Name(), Data: []byte(readFile(t, filepath.Join(folder, e.Name())))})
	}
	return all
}

// documents are the objects that an application declares, with Kustomize or
// without.
func documents(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, folder, "kustomization.yaml")); err == nil {
		return render(t, folder)
	}
	var all []*unstructured.Unstructured
	for _, f := range files(t, folder) {
		all = append(all, parse(t, string(f.Data))...)
	}
	return all
}
