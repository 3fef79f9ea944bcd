// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// DecodeNode reads one object from a YAML node that something else has parsed
// or made. It is what [DecodeBody] reads of the node's YAML, parsed without a
// schema and written as JSON, without either text: an unquoted yes stays a text,
// a date becomes a time. Its error is an [*Error]; limits of a file don't hold.
func DecodeNode(n *yaml.Node) (body map[string]any, err error) {
	defer func() {
		if recover() != nil { // as in decode
			body, err = nil, syntax(n.Line, "it is not readable as YAML")
		}
	}()
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, syntax(0, "not one object")
	}
	body = map[string]any{}
	if err := n.Decode(&body); err != nil {
		return nil, syntax(n.Line, "it can't be written as JSON")
	}
	return body, normalizeMap(body, n.Line, -10)
}

// normalize makes of a decoded value what JSON has for it, and Kubernetes makes
// of that. Maps and lists are changed in place.
func normalize(v any, line, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, syntax(line, "nested deeper than %d", MaxDepth)
	}
	switch v := v.(type) {
	case nil, bool:
		return v, nil
	case string:
		if !utf8.ValidString(v) {
			return string([]rune(v)), nil // as encoding/json has it
		}
		return v, nil
	case time.Time:
		written, err := v.MarshalText()
		if err != nil {
			return nil, syntax(line, "a date here is none that JSON can write")
		}
		return string(written), nil
	case []any:
		for i := range v {
			var err error
			if v[i], err = normalize(v[i], line, depth+1); err != nil {
				return nil, err
			}
		}
		return v, nil
	case map[string]any:
		return v, normalizeMap(v, line, depth)
	case map[any]any:
		return nil, syntax(line, "a key must be text")
	default:
		return number(v, line)
	}
}

func normalizeMap(m map[string]any, line, depth int) error {
	for key, v := range m {
		plain, err := normalize(v, line, depth+1)
		if err != nil {
			return err
		}
		m[key] = plain
	}
	return nil
}
