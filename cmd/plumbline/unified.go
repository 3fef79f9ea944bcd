// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/plumbline-dev/plumbline/internal/compare"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/seal"
	"github.com/plumbline-dev/plumbline/internal/status"
)

// changed is the diff from a live object to what it comes to once the
// differences are put right: nothing else of it is shown as different.
func changed(o manifest.Object, live *unstructured.Unstructured, desired map[string]any, differ []compare.Difference, commit string) (string, error) {
	have := shown(live.Object)
	want := shown(compare.Target(desired, live.Object, differ))
	if seal.IsSecret(desired) {
		have, want = sealedPair(have, want, desired, differ)
	}
	return unified(o, have, want, commit)
}

// shown is a body without what only the API server writes, and without what
// repeats the whole of it.
func shown(body map[string]any) map[string]any {
	out := maps.Clone(body)
	delete(out, "status")
	meta, _ := out["metadata"].(map[string]any)
	meta = maps.Clone(meta)
	for _, name := range []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"} {
		delete(meta, name)
	}
	if annotations, ok := meta["annotations"].(map[string]any); ok {
		annotations = maps.Clone(annotations)
		delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
		meta["annotations"] = annotations
	}
	if meta != nil {
		out["metadata"] = meta
	}
	return out
}

// What stands for the values of a Secret.
const (
	valueLive  = "(a value)"
	valueGit   = "(another value)"
	valueThere = "(not shown)"
)

// sealedPair leaves of two bodies of one Secret what can be shown: what Git
// declares in the clear, and in place of each value whether it differs.
func sealedPair(have, want, desired map[string]any, differ []compare.Difference) (map[string]any, map[string]any) {
	has, _ := have["data"].(map[string]any)
	declares, _ := desired["data"].(map[string]any)
	left, right := map[string]any{}, map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(declares)) {
		_, there := has[name]
		if there {
			left[name] = valueThere
		}
		right[name] = valueThere
		if slices.ContainsFunc(differ, func(d compare.Difference) bool { return d.Path == "/data/"+compare.Escape(name) }) && there {
			left[name], right[name] = valueLive, valueGit
		}
	}
	return plainSecret(have, desired, left), plainSecret(want, desired, right)
}

// plainSecret is what is shown of a Secret: its head as far as Git declares it,
// and data.
func plainSecret(body, desired, data map[string]any) map[string]any {
	out := map[string]any{"apiVersion": body["apiVersion"], "kind": body["kind"]}
	for _, name := range []string{"type", "immutable"} {
		if _, declared := desired[name]; declared && body[name] != nil {
			out[name] = body[name]
		}
	}
	meta, _ := body["metadata"].(map[string]any)
	declared, _ := desired["metadata"].(map[string]any)
	head := map[string]any{}
	for _, name := range []string{"name", "namespace"} {
		if meta[name] != nil {
			head[name] = meta[name]
		}
	}
	for _, name := range []string{"labels", "annotations"} {
		names, _ := declared[name].(map[string]any)
		values, _ := meta[name].(map[string]any)
		kept := map[string]any{}
		for key := range names {
			if v, ok := values[key]; ok {
				kept[key] = v
			}
		}
		if len(kept) > 0 {
			head[name] = kept
		}
	}
	out["metadata"] = head
	if len(data) > 0 {
		out["data"] = data
	}
	return out
}

// unified is the diff of two bodies as YAML; nil stands for an object that is
// not there. Values of a Secret that is to be made are left out.
func unified(o manifest.Object, have, want map[string]any, commit string) (string, error) {
	if have == nil {
		want = shown(want)
		if seal.IsSecret(want) {
			_, want = sealedPair(nil, want, want, nil)
		}
	}
	left, err := text(have)
	if err != nil {
		return "", err
	}
	right, err := text(want)
	if err != nil {
		return "", err
	}
	from := "live " + o.Object.String()
	if have == nil {
		from = "/dev/null"
	}
	to := fmt.Sprintf("git  %s at %s", strings.TrimSuffix(position(o.File, o.Line), ": "), status.Short(commit))
	out := string(diff.Diff(from, left, to, right))
	if _, rest, ok := strings.Cut(out, "\n"); ok && strings.HasPrefix(out, "diff ") {
		out = rest
	}
	return out, nil
}

func text(body map[string]any) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	return yaml.Marshal(body)
}
