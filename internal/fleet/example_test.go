// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"fmt"

	"github.com/plumbline-dev/plumbline/internal/fleet"
)

func Example() {
	const good = `
apiVersion: plumbline.dev/v1alpha1
kind: Repository
metadata: {name: shop}
spec: {url: https://git.example.com/shop.git}
---
apiVersion: plumbline.dev/v1alpha1
kind: Application
metadata: {name: shop-web}
spec:
  source: {repository: shop, path: deploy/web}
`
	read := func(text string) fleet.Result {
		return fleet.Parse([]fleet.File{{Path: "fleet/shop.yaml", Data: []byte(text)}})
	}
	state := fleet.Merge(fleet.State{}, read(good), "")
	state = fleet.Merge(state, read(good+"  prune: true\n"), "")
	for _, e := range state.Applications {
		fmt.Println(e.Name, "held:", e.Held, "path:", e.Declaration.Source.Path)
	}
	for _, r := range state.Rejections {
		for _, p := range r.Problems {
			fmt.Printf("%s:%d: %s %s\n", r.File, p.Line, p.Field, p.Message)
		}
	}
	// Output:
	// shop-web held: true path: deploy/web
	// fleet/shop.yaml:12: spec.prune is not known here; known are source, cluster, namespace, createNamespace, converge, deletion, audit
}
