// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed application
var application embed.FS

// objects is how many the small application has.
const objects = 6

// path is where the application lives in its repository.
const path = "deploy/web"

// applicationFiles are the application's files, by path in the repository.
func applicationFiles() (map[string]string, error) {
	files := map[string]string{}
	err := fs.WalkDir(application, "application", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := application.ReadFile(name)
		if err != nil {
			return err
		}
		files[path+strings.TrimPrefix(name, "application")] = string(content)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("the demo's application: %w", err)
	}
	return files, nil
}

// fleet declares the application of the repository at url.
func fleet(url string) string {
	return fmt.Sprintf(`apiVersion: plumbline.dev/v1alpha1
kind: Repository
metadata: {name: shop}
spec: {url: %q, interval: 30s}
---
apiVersion: plumbline.dev/v1alpha1
kind: Application
metadata: {name: shop-web}
spec:
  source: {repository: shop, path: %s}
  namespace: shop
  createNamespace: true
  converge: {mode: auto, prune: true, timeout: 1m}
  audit: {heal: true, alertAfter: 2s}
`, url, path)
}

// bulk is how many ConfigMaps the large application has: enough to kill the
// applier among them.
const bulk = 400

// bulkFleet declares the large application.
const bulkFleet = `apiVersion: plumbline.dev/v1alpha1
kind: Application
metadata: {name: shop-stock}
spec:
  source: {repository: shop, path: deploy/stock}
  namespace: stock
  createNamespace: true
  audit: {alertAfter: 2s}
`

// bulkFile is one file with so many objects of the large application.
func bulkFile(objects int) string {
	var b strings.Builder
	for i := range objects {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: item-%03d}\ndata: {shelf: \"%d\"}\n", i, i%17)
	}
	return b.String()
}
