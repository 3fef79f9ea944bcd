// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// inlined are the keys under which a kustomization, or the configuration of a
// plugin, holds YAML as text (kustomize's api internal/target/kusttarget.go and
// internal/builtins/Patch*Transformer.go), in lower case: kustomize takes them
// in any. True are those that hold configurations of plugins.
var inlined = map[string]bool{
	"generators": true, "transformers": true, "validators": true,
	"patch": false, "patches": false, "patchesstrategicmerge": false, "jsonop": false, "paths": false,
}

// builtin is the apiVersion of what configures a plugin of kustomize's own.
const builtin = "builtin"

// inline checks the aliases of text in a file that kustomize parses. The file's
// own aliases have been checked.
type inline struct {
	file string
	done map[*yaml.Node]bool // what an alias refers to is checked once
}

// checkInline checks what a kustomization, or another file that kustomize reads,
// holds as text.
func checkInline(file string, data []byte, kustomization bool) (f *failure) {
	if !kustomization && !bytes.Contains(data, []byte(builtin)) {
		return nil
	}
	i := &inline{file, map[*yaml.Node]bool{}}
	each(data, func(doc *yaml.Node) {
		if f == nil && (kustomization || text(field(doc, "apiVersion")) == builtin) {
			f = i.check(doc, 0, kustomization)
		}
	})
	return f
}

// check checks a document, or a part of it. line is the last one before the
// document; plugins says that it may configure some.
func (i *inline) check(n *yaml.Node, line int, plugins bool) *failure {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode || i.done[n] {
		return nil
	}
	i.done[n] = true
	for at, inner := range n.Content {
		if n.Kind == yaml.MappingNode && at%2 == 1 {
			if plugin, ok := inlined[strings.ToLower(n.Content[at-1].Value)]; ok {
				if f := i.texts(inner, line, plugin && plugins); f != nil {
					return f
				}
			}
		}
		if f := i.check(inner, line, plugins); f != nil {
			return f
		}
	}
	return nil
}

// texts checks a text, or a list of them; plugin says that each configures some.
func (i *inline) texts(n *yaml.Node, line int, plugin bool) *failure {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.SequenceNode {
		for _, inner := range n.Content {
			if f := i.texts(inner, line, plugin); f != nil {
				return f
			}
		}
	}
	if n.Kind != yaml.ScalarNode || i.done[n] {
		return nil
	}
	i.done[n] = true
	line += n.Line
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		line-- // else the text begins in the line after its |
	}
	f, ok := failureOf(manifest.CheckAliases(i.file, []byte(n.Value)))
	if ok {
		f.Line += line
		return f
	}
	if plugin {
		each([]byte(n.Value), func(doc *yaml.Node) {
			if f == nil {
				f = i.check(doc, line, false)
			}
		})
	}
	return f
}
