// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// Every object carries labelBench, by which the observer finds it, and
// labelMarker, by which it tells its states apart.
const (
	labelBench  = "bench"
	labelMarker = "marker"
)

// kinds are the objects of an application, in the order of their files.
var kinds = []string{"configmap", "serviceaccount", "service", "deployment"}

func application(i int) string { return fmt.Sprintf("app-%04d", i) }

// file is where an object of an application is declared.
func file(i int, kind string) string { return fmt.Sprintf("apps/%s/%s.yaml", application(i), kind) }

// object is an object of an application as Git declares it.
func object(kind, name, marker string) string {
	meta := fmt.Sprintf("metadata: {name: %s, labels: {%s: \"1\", %s: %s}}\n", name, labelBench, labelMarker, marker)
	switch kind {
	case "configmap":
		return "apiVersion: v1\nkind: ConfigMap\n" + meta + fmt.Sprintf("data: {marker: %s, mode: plain, limit: \"10\"}\n", marker)
	case "serviceaccount":
		return "apiVersion: v1\nkind: ServiceAccount\n" + meta
	case "service":
		return "apiVersion: v1\nkind: Service\n" + meta + fmt.Sprintf("spec: {selector: {app: %s}, ports: [{name: http, port: 80, targetPort: 8080, protocol: TCP}]}\n", name)
	default:
		return "apiVersion: apps/v1\nkind: Deployment\n" + meta + fmt.Sprintf(`spec:
  replicas: 0
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      serviceAccountName: %[1]s
      containers:
      - {name: web, image: "registry.example.com/web:1.0.0", ports: [{name: http, containerPort: 8080}], env: [{name: MODE, value: plain}]}
`, name)
	}
}

// kustomization makes one application of the files of its folder.
func kustomization() string {
	return "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [" + strings.Join(kinds, ".yaml, ") + ".yaml]\n"
}

// sources are the files of n applications.
func sources(n int, marker string) map[string]string {
	files := map[string]string{"README.md": "Applications of four objects each.\n"}
	for i := range n {
		files[fmt.Sprintf("apps/%s/kustomization.yaml", application(i))] = kustomization()
		for _, kind := range kinds {
			files[file(i, kind)] = object(kind, "web", marker)
		}
	}
	return files
}

// declarations are n applications of a repository, a namespace each.
func declarations(repo *gitserver.Repo, n int, interval string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: %s}\nspec: {url: %q, interval: %s}\n", repo.Name, repo.URL, interval)
	for i := range n {
		fmt.Fprintf(&b, "---\napiVersion: plumbline.dev/v1alpha1\nkind: Application\nmetadata: {name: %[1]s}\nspec: {source: {repository: %[2]s, path: apps/%[1]s}, namespace: %[1]s}\n", application(i), repo.Name)
	}
	return b.String()
}
