// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// source is what a package's Go files say beside what reflection knows.
type source struct {
	comments map[string]string   // Type, or Type.Field
	values   map[string][]string // a string type's constants, in order
}

// readSource reads the package in a folder, its tests left out.
func readSource(dir string) (source, error) {
	s := source{map[string]string{}, map[string][]string{}}
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return s, err
	}
	if len(paths) == 0 {
		return s, fmt.Errorf("no Go files in %s: %w", dir, fs.ErrNotExist)
	}
	files := token.NewFileSet()
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil {
			return s, err
		}
		for _, declaration := range file.Decls {
			if d, ok := declaration.(*ast.GenDecl); ok {
				s.read(d)
			}
		}
	}
	return s, nil
}

func (s source) read(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			doc := spec.Doc
			if doc == nil {
				doc = d.Doc
			}
			s.comments[spec.Name.Name] = unnamed(spec.Name.Name, prose(doc.Text()))
			if fields, ok := spec.Type.(*ast.StructType); ok {
				s.readFields(spec.Name.Name, fields)
			}
		case *ast.ValueSpec:
			s.readConstant(spec)
		}
	}
}

// readFields takes the comment above a field and the one behind it.
func (s source) readFields(owner string, t *ast.StructType) {
	for _, field := range t.Fields.List {
		text := prose(field.Doc.Text())
		if behind := prose(field.Comment.Text()); behind != "" {
			text = strings.TrimSpace(text + " " + behind)
		}
		for _, name := range field.Names {
			s.comments[owner+"."+name.Name] = unnamed(name.Name, text)
		}
	}
}

func (s source) readConstant(spec *ast.ValueSpec) {
	typ, ok := spec.Type.(*ast.Ident)
	if !ok {
		return
	}
	for _, value := range spec.Values {
		literal, ok := value.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			continue
		}
		if text, err := strconv.Unquote(literal.Value); err == nil {
			s.values[typ.Name] = append(s.values[typ.Name], text)
		}
	}
}

var docLink = regexp.MustCompile(`\[([A-Za-z.]+)\]`)

// prose is a comment as one line, without Go's marks.
func prose(comment string) string {
	return docLink.ReplaceAllString(strings.Join(strings.Fields(comment), " "), "$1")
}

// unnamed is a comment without the Go name that it begins with, which readers
// of a schema don't know: "Digest is the bundle's" becomes "The bundle's".
func unnamed(name, text string) string {
	rest, ok := strings.CutPrefix(text, name)
	if !ok || rest == "" || rest[0] != ' ' && rest[0] != ':' {
		return capital(text)
	}
	rest = strings.TrimLeft(rest, ": ")
	for _, verb := range []string{"is ", "are ", "says "} {
		if after, ok := strings.CutPrefix(rest, verb); ok {
			rest = after
			break
		}
	}
	return capital(rest)
}

func capital(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 || strings.HasPrefix(text, "sha256") || strings.HasPrefix(text, "http") || strings.HasPrefix(text, "age") {
		return text
	}
	return string(unicode.ToUpper(first)) + text[size:]
}
