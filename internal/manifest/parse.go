// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/plumbline-dev/plumbline/events"
)

// Limits of one file. Past them it is refused.
const (
	MaxFile      = 16 << 20  // bytes
	MaxDepth     = 100       // of nesting
	MaxNodes     = 1_000_000 // values, after aliases are expanded
	MaxDocuments = 10_000
	MaxExpansion = 10 // how many times its own size a file's aliases may make it
)

// lfsPointer begins a file that Git LFS keeps elsewhere
// (github.com/git-lfs/git-lfs docs/spec.md).
const lfsPointer = "version https://git-lfs.github.com/spec/"

// Parse reads the objects of one file, in its order: JSON by the extension
// .json, else YAML. name is what errors and objects call the file. Its error
// is an [*Error].
func Parse(name string, data []byte) ([]Object, error) {
	objects, err := parse(name, data)
	if err != nil {
		return nil, at(err, name, 0)
	}
	return objects, nil
}

// value is a parsed value and where it starts.
type value struct {
	any
	line  int
	items []int // lines of a top-level "items" sequence's items
}

func parse(name string, data []byte) ([]Object, error) {
	if len(data) > MaxFile {
		return nil, syntax(0, "the file has %d bytes; at most %d are read", len(data), MaxFile)
	}
	if bytes.HasPrefix(data, []byte(lfsPointer)) {
		return nil, at(invalid(nil, "the file is a pointer of Git LFS: what it stands for lies elsewhere and is not fetched; commit the file itself"), name, 1)
	}
	var documents []value
	var err error
	if strings.EqualFold(path.Ext(name), ".json") {
		documents, err = parseJSON(data)
	} else {
		documents, err = parseYAML(data)
	}
	if err != nil {
		return nil, err
	}
	var objects []Object
	for _, d := range documents {
		if objects, err = collect(objects, name, d, events.Object{}, 0); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// collect appends the object that a document is, or the objects that a list
// holds. of is what a typed list says of items that don't say it themselves.
func collect(objects []Object, name string, d value, of events.Object, depth int) ([]Object, error) {
	if d.any == nil {
		return objects, nil
	}
	body, ok := d.any.(map[string]any)
	if !ok {
		return nil, at(invalid(nil, "a Kubernetes object is a mapping with apiVersion, kind and metadata; this is none"), name, d.line)
	}
	if depth > MaxDepth {
		return nil, at(invalid(nil, "lists are nested deeper than %d", MaxDepth), name, d.line)
	}
	if kind, _ := body["kind"].(string); isList(kind, body) {
		return collectItems(objects, name, d, kind, body, depth)
	}
	if body["kind"] == nil && of.Kind != "" {
		body["kind"] = of.Kind
	}
	if body["apiVersion"] == nil && of.Version != "" {
		body["apiVersion"] = of.Version
	}
	id, err := Identify(body)
	if err == nil {
		err = clean(id, body)
	}
	if err != nil {
		return nil, at(err, name, d.line)
	}
	return append(objects, Object{Object: id, File: name, Line: d.line, Body: body}), nil
}

// isList tells lists as Kubernetes does: by their items.
func isList(kind string, body map[string]any) bool {
	if kind == "List" && body["apiVersion"] == "v1" {
		return true
	}
	_, ok := body["items"].([]any)
	return ok && strings.HasSuffix(kind, "List")
}

func collectItems(objects []Object, name string, d value, kind string, body map[string]any, depth int) ([]Object, error) {
	items, ok := body["items"].([]any)
	if !ok && body["items"] != nil {
		return nil, at(invalid(nil, "items of a List must be a sequence of objects"), name, d.line)
	}
	var of events.Object
	if of.Kind = strings.TrimSuffix(kind, "List"); of.Kind != "" {
		of.Version, _ = body["apiVersion"].(string)
	}
	for i, item := range items {
		line := d.line
		if i < len(d.items) {
			line = d.items[i]
		}
		var err error
		if objects, err = collect(objects, name, value{any: item, line: line}, of, depth+1); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// text refuses what JSON can't carry.
func text(s string, line int) (string, error) {
	if !utf8.ValidString(s) {
		return "", syntax(line, "a text here is no valid UTF-8; put binary data in base64 (a ConfigMap has binaryData for it)")
	}
	return s, nil
}

// FromBody reads the objects of a body that something else has parsed: one,
// or those of a list, all said to come from one place. Its error is an
// [*Error].
func FromBody(name string, line int, body map[string]any) ([]Object, error) {
	return collect(nil, name, value{any: body, line: line}, events.Object{}, 0)
}
