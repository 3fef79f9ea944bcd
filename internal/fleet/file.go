// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/plumbline-dev/plumbline/events"
)

// Limits on one file.
const (
	MaxFileSize  = 1 << 20 // bytes
	maxDocuments = 5_000
	maxNodes     = 200_000
	maxDepth     = 32
)

// File is a file of the fleet's folder.
type File struct {
	Path string // slash-separated, from the root of the fleet's repository
	Data []byte
	// Fault is why the file, or what stands in place of a folder, can't be
	// read; empty: it was.
	Fault string
}

// IsDeclaration reports whether a file, named by its path below the fleet's
// folder, holds declarations: it ends in .yaml, .yml or .json, and neither it
// nor a folder above it is hidden.
func IsDeclaration(below string) bool {
	return !IsHidden(below) && hasFormat(below)
}

// IsHidden reports whether a path below the fleet's folder, or a folder above
// it, starts with a dot.
func IsHidden(below string) bool {
	for _, part := range strings.Split(below, "/") {
		if strings.HasPrefix(part, ".") {
			return true
		}
	}
	return false
}

// hasFormat takes any case: a file that was renamed to A.YAML still declares.
func hasFormat(file string) bool {
	switch strings.ToLower(path.Ext(file)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// unreadable is why a whole file can't be read.
type unreadable struct{ events.Problem }

func (u *unreadable) Error() string { return u.Message }

func unreadableAt(line int, format string, args ...any) *unreadable {
	return &unreadable{events.Problem{Line: line, Message: fmt.Sprintf(format, args...), Reason: events.ReasonFileUnreadable}}
}

// documents are the roots of a file's documents, empty ones left out.
func (f File) documents() (roots []*yaml.Node, failed *unreadable) {
	if f.Fault != "" {
		return nil, unreadableAt(0, "%s", f.Fault)
	}
	if len(f.Data) > MaxFileSize {
		return nil, unreadableAt(0, "the file has %d bytes, and at most %d are read; split it", len(f.Data), MaxFileSize)
	}
	if i := firstInvalid(f.Data); i >= 0 {
		return nil, unreadableAt(1+bytes.Count(f.Data[:i], []byte("\n")), "the file is not UTF-8; save it as UTF-8")
	}
	text := f.Data
	if strings.EqualFold(path.Ext(f.Path), ".json") {
		if text, failed = jsonAsYAML(text); failed != nil {
			return nil, failed
		}
	}
	// The parser is not ours: a panic of it is this file's fault and must not
	// take the other files along.
	defer func() {
		if p := recover(); p != nil {
			roots, failed = nil, unreadableAt(0, "the file is no YAML that can be read")
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(text))
	nodes := 0
	for {
		var document yaml.Node
		err := d.Decode(&document)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, syntax(err)
		}
		if len(document.Content) == 0 || isNull(document.Content[0]) {
			continue
		}
		root := document.Content[0]
		if failed := count(root, 1, &nodes); failed != nil {
			return nil, failed
		}
		if roots = append(roots, root); len(roots) > maxDocuments {
			return nil, unreadableAt(root.Line, "the file has more than %d documents; split it", maxDocuments)
		}
	}
}

// jsonAsYAML rewrites the one escape of JSON that the YAML parser doesn't know.
func jsonAsYAML(text []byte) ([]byte, *unreadable) {
	var syntax *json.SyntaxError
	if err := json.Unmarshal(text, new(json.RawMessage)); errors.As(err, &syntax) {
		before := text[:min(int(syntax.Offset), len(text))]
		return nil, unreadableAt(1+bytes.Count(before, []byte("\n")), "no valid JSON: %s", clip(syntax.Error()))
	}
	var out []byte
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			if text[i+1] != '/' {
				out = append(out, '\\')
			}
			i++
		}
		out = append(out, text[i])
	}
	return out, nil
}

// count walks a document within the limits. Aliases are refused altogether:
// declarations are small, and an alias is how small text becomes large.
func count(n *yaml.Node, depth int, nodes *int) *unreadable {
	*nodes++
	switch {
	case *nodes > maxNodes:
		return unreadableAt(n.Line, "the file has more than %d values; split it", maxNodes)
	case depth > maxDepth:
		return unreadableAt(n.Line, "nested deeper than %d; no declaration is", maxDepth)
	case n.Kind == yaml.AliasNode:
		return unreadableAt(n.Line, "the alias *%s is not allowed; write out what it stands for", clip(n.Value))
	}
	for _, child := range n.Content {
		if failed := count(child, depth+1, nodes); failed != nil {
			return failed
		}
	}
	return nil
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// syntax is the parser's error with its line told apart. The parser's text
// names what it stumbled over by kind, and at most an anchor's name.
func syntax(err error) *unreadable {
	text, line := err.Error(), 0
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1]) // the pattern lets only digits through
		text = text[len(m[0]):]
	}
	return unreadableAt(line, "no valid YAML: %s", clip(strings.TrimPrefix(text, "yaml: ")))
}

func firstInvalid(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}
