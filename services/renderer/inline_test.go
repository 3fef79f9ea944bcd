// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// indented is a text as a block of YAML, two columns in.
func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}

// Aliases without end are refused, and not copied until a limit ends the render,
// wherever kustomize parses text of a kustomization.
func TestAliasesInTextsThatKustomizeParses(t *testing.T) {
	object := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	itself := object + "data: &d\n  again: *d\n"
	operation := "- op: add\n  path: /data\n  value: &v {again: *v}\n"
	plugin := func(kind, field, text string) string {
		return "apiVersion: builtin\nkind: " + kind + "\nmetadata: {name: p}\ntarget: {kind: ConfigMap}\n" + field + ": |\n" + indented(text)
	}
	p := testPool(t, 1, testLimits)
	p.limits.timeout = time.Minute
	for name, c := range map[string]struct {
		kustomization string
		more          map[string]string
		file          string
		line          int
	}{
		"patch":                      {kustomization: "patches:\n- patch: |\n" + indented(indented(itself)), line: 8},
		"patch, a bomb":              {kustomization: "patches:\n- patch: |\n" + indented(indented(object+aliases(9))), line: 7},
		"patch, in a line":           {kustomization: "patches:\n- {patch: " + strconv.Quote(itself) + "}\n", line: 7},
		"patch, by an alias":         {kustomization: "buildMetadata: [&p " + strconv.Quote(itself) + "]\npatches: [{patch: *p}]\n", line: 6},
		"patch, in other letters":    {kustomization: "Patches:\n- Patch: |\n" + indented(indented(itself)), line: 8},
		"operation":                  {kustomization: "patches:\n- target: {kind: ConfigMap}\n  patch: |\n" + indented(indented(operation)), line: 7},
		"operation, the old way":     {kustomization: "patchesJson6902:\n- target: {version: v1, kind: ConfigMap, name: a}\n  patch: |\n" + indented(indented(operation)), line: 7},
		"strategic merge":            {kustomization: "patchesStrategicMerge:\n- |\n" + indented(itself), line: 8},
		"transformer":                {kustomization: "transformers:\n- |\n" + indented("prefix: &p [*p]\n"), line: 4},
		"generator":                  {kustomization: "generators:\n- |\n" + indented("name: &p [*p]\n"), line: 4},
		"validator":                  {kustomization: "validators:\n- |\n" + indented("name: &p [*p]\n"), line: 4},
		"patch of a transformer":     {kustomization: "transformers:\n- |\n" + indented(plugin("PatchTransformer", "patch", itself)), line: 13},
		"operation of a transformer": {kustomization: "transformers:\n- |\n" + indented(plugin("PatchJson6902Transformer", "jsonOp", operation)), line: 11},
		"transformer's file": {
			kustomization: "transformers: [p.yaml]\n",
			more:          map[string]string{"app/p.yaml": plugin("PatchStrategicMergeTransformer", "patches", itself)}, file: "app/p.yaml", line: 10,
		},
	} {
		files := with(map[string]string{"app/kustomization.yaml": "resources: [a.yaml]\n" + c.kustomization, "app/a.yaml": object}, c.more)
		if c.file == "" {
			c.file = "app/kustomization.yaml"
		}
		_, f := renderFiles(t, p, files, "app")
		if f == nil || f.Reason != events.ReasonSyntax || f.File != c.file || f.Line != c.line {
			t.Errorf("%s: %+v, want syntax at %s:%d", name, f, c.file, c.line)
		}
	}
	// What only stands there is nobody's to refuse.
	literal := with(good, map[string]string{"app/kustomization.yaml": "resources: [a.yaml]\nconfigMapGenerator:\n- name: b\n  literals:\n  - " + strconv.Quote("p="+itself) + "\n"})
	if b, f := renderFiles(t, p, literal, "app"); f != nil || len(b.Objects) != 2 {
		t.Errorf("a literal: %+v", f)
	}
}
