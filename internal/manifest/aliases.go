// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// CheckAliases refuses a file whose aliases have no end, or make it too large,
// for who hands it to a parser that expands them whatever it costs. What else is
// wrong with the file is not its concern, and hides neither. Its error is an
// [*Error].
func CheckAliases(name string, data []byte) error {
	if !bytes.ContainsRune(data, '&') || !bytes.ContainsRune(data, '*') {
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var e expansion
	for {
		var n yaml.Node
		if decode(decoder, &n) != nil {
			return nil // the end, or no YAML at all
		}
		e.add(&n)
		if err := e.walk(&n, 0); err != nil {
			return at(err, name, 0)
		}
	}
}

// expansion counts what the aliases of a file make of it.
type expansion struct {
	parsed  int // nodes that the file itself holds, up to the end of this document
	made    int // and with each expansion of an alias, up to the current one
	aliases int // how many aliases the current node is inside of
	inside  map[*yaml.Node]bool
}

// add adds a document to the file, before it is gone through: where in it its
// aliases stand says nothing of how large they make it.
func (e *expansion) add(n *yaml.Node) {
	e.parsed++
	for _, inner := range n.Content {
		e.add(inner)
	}
}

// count counts one node, which is at a line.
func (e *expansion) count(line int) error {
	e.made++
	if e.made > 1000+MaxExpansion*e.parsed {
		return syntax(line, "its aliases make the file more than %d times as large as it is; write out what they repeat", MaxExpansion)
	}
	return nil
}

// enter goes into what an alias refers to, until leave is called. An alias that
// is inside of its own anchor has no end.
func (e *expansion) enter(n *yaml.Node) (leave func(), err error) {
	if n.Alias == nil || e.inside[n.Alias] {
		return nil, syntax(n.Line, "an alias refers to an anchor that it is part of")
	}
	if e.inside == nil {
		e.inside = map[*yaml.Node]bool{}
	}
	e.inside[n.Alias] = true
	e.aliases++
	return func() {
		delete(e.inside, n.Alias)
		e.aliases--
	}, nil
}

// walk goes through a node and all that it holds, expanded. The parser bounds
// how deep a file itself is nested.
func (e *expansion) walk(n *yaml.Node, depth int) error {
	if e.aliases > 0 && depth > MaxDepth {
		return syntax(n.Line, "its aliases nest it deeper than %d", MaxDepth)
	}
	if err := e.count(n.Line); err != nil {
		return err
	}
	if n.Kind == yaml.AliasNode {
		leave, err := e.enter(n)
		if err != nil {
			return err
		}
		defer leave()
		return e.walk(n.Alias, depth+1)
	}
	for _, inner := range n.Content {
		if err := e.walk(inner, depth+1); err != nil {
			return err
		}
	}
	return nil
}
