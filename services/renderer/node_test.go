// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// kustomize has its own way from a node to JSON: the one without texts leads to
// the same, or to a failure where it does.
func TestNodesAreWhatKustomizeWritesOfThem(t *testing.T) {
	documents := []string{
		"a: text\nb: 1\nc: 1.0\nd: -0.0\ne: 1e3\nf: 0x1f\ng: 0o17\nh: 017\ni: 1_000\n",
		"a: yes\nb: No\nc: on\nd: true\ne: 'true'\nf: !!str true\ng: null\nh: ~\ni:\nj: ''\n",
		"a: 2001-12-14\nb: 2001-12-14t21:59:43.10-05:00\nc: '2001-12-14'\nd: 12:30:45\n",
		"a: 9223372036854775807\nb: 9223372036854775808\nc: 18446744073709551615\nd: 18446744073709551616\ne: 1e300\nf: 1e400\n",
		"a: .inf\n", "a: .nan\n",
		"a: !!binary aGVsbG8=\nb: !!binary /w==\nc: !!float 3\nd: !!int '7'\n",
		"a: |\n  two\n  lines\nb: >-\n  folded\n  text\nc: \"\\u00e4 \\x01 \\uD7FF\"\nd: 'it''s'\n",
		"a: [1, [2, {b: 3}], {}]\nc: {}\nd: []\n",
		"a: &x {k: 1}\nb: *x\nc: {<<: *x, l: 2}\n",
		"1: a\ntrue: b\n", "a: {1: b}\n", "a: {true: b}\n", "a: {null: b}\n", "a: {x: 1, x: 2}\n",
		"a: !custom b\n", "a: '<&>'\nb: \"\\u2028\"\n",
		"- a\n", "text\n", "\"\"\n",
		"a: " + strings.Repeat("[", 90) + strings.Repeat("]", 90) + "\n",
		"a: " + strings.Repeat("[", 120) + strings.Repeat("]", 120) + "\n",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {b: '1', c: \"off\"}}\ndata:\n  k: \"yes\"\n",
	}
	for _, document := range documents {
		t.Run(document[:min(len(document), 20)], func(t *testing.T) {
			written, errWritten := byText(document)
			node, err := kyaml.Parse(document)
			if err != nil {
				t.Fatal(err)
			}
			got, err := manifest.DecodeNode(node.YNode())
			if (err == nil) != (errWritten == nil) {
				t.Fatalf("%q: the node gives %v (%v), kustomize's JSON %v (%v)", document, got, err, written, errWritten)
			}
			if err == nil && !reflect.DeepEqual(got, written) {
				t.Errorf("%q: the node gives %#v, kustomize's JSON %#v", document, got, written)
			}
		})
	}
}

// byText is a document by way of the JSON that kustomize makes of it.
func byText(document string) (map[string]any, error) {
	node, err := kyaml.Parse(document)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	data, err := node.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return manifest.DecodeBody(data)
}
