// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"testing"
)

func TestRenderPlainAndKustomize(t *testing.T) {
	p := testPool(t, 1, testLimits)
	tr := unpacked(t, map[string]string{
		"deploy/a.yaml":              configMap("a", "x"),
		"deploy/sub/b.json":          `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}`,
		"overlay/kustomization.yaml": "namePrefix: p-\nresources: [../base]\nconfigMapGenerator:\n- name: gen\n  literals: [a=b]\n",
		"base/kustomization.yaml":    "resources: [all.yaml]\n",
		"base/all.yaml":              "# x\n" + configMap("one", "y") + "---\n" + configMap("two", "y"),
	})
	for _, path := range []string{"deploy", "overlay"} {
		out, err := p.render(t.Context(), tr, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", out.Failure)
		for _, o := range out.Objects {
			t.Logf("%s:%d %s", o.File, o.Line, o.Body)
		}
		t.Log(out.reads)
	}
}
