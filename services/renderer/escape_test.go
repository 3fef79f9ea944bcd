// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAdvisoryC1NothingOutsideOfTheTreeIsRead plants a file outside and goes for it in
// every way that a repository can: its content must be in no object and in no
// text of an error.
func TestAdvisoryC1NothingOutsideOfTheTreeIsRead(t *testing.T) {
	dir := t.TempDir()
	canary := filepath.Join(dir, "canary.yaml")
	if err := os.WriteFile(canary, []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: canary-3fa9}\ndata: {x: canary-3fa9}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte("resources: [canary.yaml]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	up := strings.Repeat("../", 30)
	a := configMap("a", "x")
	kustomization := func(text string) map[string]string {
		return map[string]string{"app/kustomization.yaml": text, "app/a.yaml": a}
	}
	link := func(target string) map[string]string {
		return map[string]string{"app/a.yaml": a, "app/x.yaml -> " + target: ""}
	}
	kustomizedLink := func(target string) map[string]string {
		return map[string]string{"app/kustomization.yaml": "resources: [x.yaml]\n", "app/x.yaml -> " + target: ""}
	}
	cases := map[string]map[string]string{
		"link to file":                  link(canary),
		"link to file, relative":        link(up + canary[1:]),
		"link to directory":             {"app/a.yaml": a, "app/x -> " + dir: ""},
		"link to directory, relative":   {"app/a.yaml": a, "app/x -> " + up + dir[1:]: ""},
		"link to link":                  with(link("../y"), map[string]string{"y -> " + canary: ""}),
		"link over a link to the root":  with(link("../up/"+dir[1:]+"/canary.yaml"), map[string]string{"up -> " + up: ""}),
		"link to /proc/self/root":       link("/proc/self/root" + canary),
		"link to itself":                link("x.yaml"),
		"link in a circle":              with(link("y"), map[string]string{"app/y -> x.yaml": ""}),
		"link of the path itself":       {"app -> " + dir: ""},
		"link of the path, relative":    {"app -> ../" + filepath.Base(dir): ""},
		"link with a newline":           link(canary + "\n"),
		"link with a zero byte":         link(canary + "\x00.yaml"),
		"long link":                     link(strings.Repeat("a/../", 2000) + canary[1:]),
		"kustomize: link to file":       kustomizedLink(canary),
		"kustomize: relative link":      kustomizedLink(up + canary[1:]),
		"kustomize: link to directory":  {"app/kustomization.yaml": "resources: [x]\n", "app/x -> " + dir: ""},
		"kustomize: the file is a link": {"app/kustomization.yaml -> " + filepath.Join(dir, "kustomization.yaml"): ""},
		"kustomize: resource":           kustomization("resources: [" + up + canary[1:] + "]\n"),
		"kustomize: absolute resource":  kustomization("resources: [" + canary + "]\n"),
		"kustomize: base":               kustomization("resources: [" + up + dir[1:] + "]\n"),
		"kustomize: absolute base":      kustomization("resources: [" + dir + "]\n"),
		"kustomize: file URL":           kustomization("resources: [\"file://" + dir + "\"]\n"),
		"kustomize: component":          kustomization("components: [" + up + dir[1:] + "]\n"),
		"kustomize: generator file":     kustomization("configMapGenerator:\n- name: x\n  files: [" + canary + "]\n"),
		"kustomize: generator file ..":  kustomization("configMapGenerator:\n- name: x\n  files: [k=" + up + canary[1:] + "]\n"),
		"kustomize: generator env":      kustomization("secretGenerator:\n- name: x\n  envs: [" + up + canary[1:] + "]\n"),
		"kustomize: patch":              kustomization("resources: [a.yaml]\npatches:\n- path: " + canary + "\n"),
		"kustomize: old patch":          kustomization("resources: [a.yaml]\npatchesStrategicMerge: [" + up + canary[1:] + "]\n"),
		"kustomize: JSON patch":         kustomization("resources: [a.yaml]\npatchesJson6902:\n- target: {version: v1, kind: ConfigMap, name: a}\n  path: " + canary + "\n"),
		"kustomize: replacement":        kustomization("resources: [a.yaml]\nreplacements:\n- path: " + canary + "\n"),
		"kustomize: crds":               kustomization("resources: [a.yaml]\ncrds: [" + canary + "]\n"),
		"kustomize: configurations":     kustomization("resources: [a.yaml]\nconfigurations: [" + up + canary[1:] + "]\n"),
		"kustomize: openapi":            kustomization("resources: [a.yaml]\nopenapi: {path: " + canary + "}\n"),
		"kustomize: transformer":        kustomization("resources: [a.yaml]\ntransformers: [" + canary + "]\n"),
		"kustomize: validator":          kustomization("resources: [a.yaml]\nvalidators: [" + up + canary[1:] + "]\n"),
		"kustomize: generator":          kustomization("generators: [" + canary + "]\n"),
		"kustomize: into the mount":     kustomization("resources: [" + up + "git/repository" + canary + "]\n"),
	}
	p := testPool(t, 1, testLimits)
	for name, files := range cases {
		t.Run(name, func(t *testing.T) {
			b, f := renderFiles(t, p, files, "app")
			if f == nil {
				t.Errorf("rendered %d objects", len(b.Objects))
			}
			if text := fmt.Sprintf("%+v %v", b, f); strings.Contains(text, "canary-3fa9") {
				t.Errorf("the file outside shows: %s", text)
			}
		})
	}
	for _, folder := range []string{"..", "../" + filepath.Base(dir), dir, "/", "app/../../x", up + dir[1:], "./../."} {
		t.Run("path "+folder, func(t *testing.T) {
			b, f := renderFiles(t, p, map[string]string{"app/a.yaml": a}, folder)
			if f == nil && folder != "/" || strings.Contains(fmt.Sprintf("%+v %v", b, f), "canary-3fa9") {
				t.Errorf("%+v, %v", b, f)
			}
		})
	}
}

// TestAdvisoryC2ATreeWithImpossibleNames can't be checked out, but it can be pushed.
func TestAdvisoryC2ATreeWithImpossibleNames(t *testing.T) {
	for _, name := range []string{"..", ".", "a/b"} {
		r := newRepo(t)
		id := r.impossible(name, r.blob(configMap("a", "x")))
		tr, err := unpack(r.pack(), id.String())
		if err == nil {
			_, err = tr.ask(opList, ".")
		}
		if err == nil {
			t.Errorf("an entry named %q was taken", name)
		}
	}
}

// A kustomization asks for what is outside of its commit: programs, charts,
// the network, the environment. It gets nothing of it.
func TestAdvisoryC10NothingComesFromOutside(t *testing.T) {
	t.Setenv("PLUMBLINE_CANARY", "canary-3fa9")
	a := configMap("a", "x")
	for name, text := range map[string]string{
		"chart":                "helmCharts: [{name: x, repo: 'https://127.0.0.1:1', version: '1'}]\n",
		"local chart":          "helmChartInflationGenerator: [{chartName: x}]\n",
		"remote base":          "resources: ['https://127.0.0.1:1/x.yaml']\n",
		"git base":             "resources: ['git::https://127.0.0.1:1/x?ref=main']\n",
		"exec plugin":          "transformers: [plugin.yaml]\n",
		"container plugin":     "generators: [plugin.yaml]\n",
		"the environment":      "configMapGenerator: [{name: x, envs: [names.env]}]\n",
		"the environment, old": "configMapGenerator: [{name: x, env: names.env}]\n",
		"a lookup":             "configMapGenerator: [{name: x, literals: ['v={{ lookup \"v1\" \"Secret\" \"\" \"\" }}${PLUMBLINE_CANARY}$(PLUMBLINE_CANARY)']}]\n",
	} {
		t.Run(name, func(t *testing.T) {
			b, f := renderFiles(t, testPool(t, 1, testLimits), map[string]string{
				"app/kustomization.yaml": text, "app/a.yaml": a, "app/names.env": "PLUMBLINE_CANARY\nHOME\n",
				"app/plugin.yaml": "apiVersion: x/v1\nkind: X\nmetadata:\n  name: x\n  annotations:\n    config.kubernetes.io/function: |\n      exec: {path: /bin/sh}\n      container: {image: x}\n",
			}, "app")
			said := fmt.Sprintf("%+v %v", b, f)
			if strings.Contains(said, "canary-3fa9") || strings.Contains(said, os.Getenv("HOME")+"\"") {
				t.Errorf("the environment shows: %s", said)
			}
			if outside := !strings.Contains(name, "environment") && name != "a lookup"; outside && f == nil {
				t.Errorf("rendered: %s", said)
			}
		})
	}
}
