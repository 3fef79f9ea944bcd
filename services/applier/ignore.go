// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/compare"
)

// ignored returns the JSON pointers of the rules that match o and name a
// field that body declares, sorted. A rule over the whole object, or over
// what makes it ours, matches nothing.
func ignored(o events.Object, body map[string]any, rules []events.IgnoreRule) []string {
	var paths []string
	for _, r := range rules {
		if r.Kind != o.Kind || r.Group != "" && r.Group != o.Group || r.Name != "" && r.Name != o.Name {
			continue
		}
		tokens := compare.Tokens(r.Path)
		if len(tokens) == 0 || len(tokens) == 1 && tokens[0] != "data" && tokens[0] != "stringData" && tokens[0] != "spec" {
			continue
		}
		if _, ok := compare.At(body, tokens); ok {
			paths = append(paths, r.Path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// leftOut returns those of paths that another manager owns in body's live
// object. A field that only we own stays: leaving it out would reset it to its
// default.
func leftOut(paths []string, body map[string]any, others []Ownership) []string {
	var left []string
	for _, p := range paths {
		if slices.ContainsFunc(others, func(o Ownership) bool { return owns(o, body, compare.Tokens(p)) }) {
			left = append(left, p)
		}
	}
	return left
}

// owns says whether o's managedFields entry holds the field that tokens point
// to in body, or something below it.
func owns(o Ownership, body map[string]any, tokens []string) bool {
	var set fieldpath.Set
	if err := set.FromJSON(bytes.NewReader(o.Fields)); err != nil {
		return false
	}
	found := false
	set.Iterate(func(p fieldpath.Path) {
		found = found || covers(p, body, tokens)
	})
	return found
}

// covers says whether an owned path is, or lies below, the field that tokens
// point to. managedFields tell the items of a list by key or value, a JSON
// pointer by place: the item at that place in body must have the key.
func covers(p fieldpath.Path, body any, tokens []string) bool {
	if len(p) < len(tokens) {
		return false
	}
	for i, token := range tokens {
		next, ok := compare.At(body, tokens[i:i+1])
		if !ok {
			return false
		}
		body = next
		switch e := p[i]; {
		case e.FieldName != nil:
			if *e.FieldName != token {
				return false
			}
		case e.Key != nil:
			item, ok := body.(map[string]any)
			if !ok {
				return false
			}
			for _, k := range *e.Key {
				if declared, ok := item[k.Name]; ok && fmt.Sprint(declared) != fmt.Sprint(k.Value.Unstructured()) {
					return false
				}
			}
		case e.Value != nil:
			if fmt.Sprint(body) != fmt.Sprint((*e.Value).Unstructured()) {
				return false
			}
		case e.Index != nil:
			if strconv.Itoa(*e.Index) != token {
				return false
			}
		}
	}
	return true
}

// without returns body less the fields that paths point to. The parts on the
// way to them are copied, the rest is shared. An item of a list is not taken
// out: that would renumber the others.
func without(body map[string]any, paths []string) map[string]any {
	for _, p := range paths {
		body, _ = remove(body, compare.Tokens(p)).(map[string]any)
	}
	return body
}

func remove(v any, tokens []string) any {
	switch node := v.(type) {
	case map[string]any:
		child, ok := node[tokens[0]]
		if !ok {
			return v
		}
		clone := make(map[string]any, len(node))
		for k, e := range node {
			clone[k] = e
		}
		if len(tokens) == 1 {
			delete(clone, tokens[0])
		} else {
			clone[tokens[0]] = remove(child, tokens[1:])
		}
		return clone
	case []any:
		i, err := strconv.Atoi(tokens[0])
		if err != nil || i < 0 || i >= len(node) || len(tokens) == 1 {
			return v
		}
		clone := slices.Clone(node)
		clone[i] = remove(node[i], tokens[1:])
		return clone
	}
	return v
}
