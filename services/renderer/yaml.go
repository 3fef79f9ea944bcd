// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bytes"
	"errors"

	"go.yaml.in/yaml/v3"
)

var errYAML = errors.New("not readable as YAML")

// decodeYAML parses the first document of a file.
func decodeYAML(data []byte, into *yaml.Node) (err error) {
	defer func() {
		if recover() != nil {
			err = errYAML // the parser panics on some hostile input
		}
	}()
	return yaml.NewDecoder(bytes.NewReader(data)).Decode(into)
}

// each calls f with the root of every document that can be read.
func each(data []byte, f func(*yaml.Node)) {
	defer func() {
		_ = recover() // what was found before the fault is all there is
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if decoder.Decode(&doc) != nil {
			return
		}
		if len(doc.Content) == 1 {
			f(doc.Content[0])
		}
	}
}

// field is the value of a key of a mapping, nil where there is none.
func field(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// text is the text of a scalar; anything else has none.
func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}
