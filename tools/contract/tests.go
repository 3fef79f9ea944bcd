// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// testFunc is a test or a fuzz target of the module.
type testFunc struct {
	pkg, name string // pkg as a path from the root
	says      string // its doc comment, without its name
	sections  []string
}

// readTests finds every test and fuzz target below root, by package and name.
func readTests(root string) ([]testFunc, error) {
	var all []testFunc
	files := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		pkg, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
				all = append(all, testFunc{filepath.ToSlash(pkg), f.Name.Name, meaningOf(f), sectionsOf(f, file)})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the tests: %w", err)
	}
	slices.SortFunc(all, func(a, b testFunc) int { return strings.Compare(a.pkg+"."+a.name, b.pkg+"."+b.name) })
	return all, nil
}

func meaningOf(f *ast.FuncDecl) string {
	text := strings.Join(strings.Fields(f.Doc.Text()), " ")
	return strings.TrimPrefix(text, f.Name.Name+": ")
}

// sectionsOf are the sections of the corpus that a target begins with: the
// strings that it, or what it calls of its own file, gives to package seed.
func sectionsOf(f *ast.FuncDecl, file *ast.File) []string {
	var sections []string
	called := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if name, ok := call.Fun.(*ast.Ident); ok {
				called[name.Name] = true
			}
			sections = append(sections, seededBy(f, call)...)
		}
		return true
	})
	for _, decl := range file.Decls {
		if g, ok := decl.(*ast.FuncDecl); ok && g != f && g.Recv == nil && called[g.Name.Name] {
			ast.Inspect(g, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					sections = append(sections, seededBy(g, call)...)
				}
				return true
			})
		}
	}
	slices.Sort(sections)
	return slices.Compact(sections)
}

// seededBy are the literal sections of a call of seed.Files or seed.Each. A
// call within a loop over sections has those of the loop.
func seededBy(f *ast.FuncDecl, call *ast.CallExpr) []string {
	on, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	if of, ok := on.X.(*ast.Ident); !ok || of.Name != "seed" {
		return nil
	}
	var sections []string
	for _, arg := range call.Args {
		switch arg := arg.(type) {
		case *ast.BasicLit:
			if text, err := strconv.Unquote(arg.Value); err == nil {
				sections = append(sections, text)
			}
		case *ast.Ident:
			sections = append(sections, ranged(f, arg.Name)...)
		}
	}
	return sections
}

// ranged are the strings that a variable takes in a loop over a literal.
func ranged(f *ast.FuncDecl, name string) []string {
	var texts []string
	ast.Inspect(f, func(n ast.Node) bool {
		loop, ok := n.(*ast.RangeStmt)
		if !ok {
			return true
		}
		list, isList := loop.X.(*ast.CompositeLit)
		if v, ok := loop.Value.(*ast.Ident); !ok || v.Name != name || !isList {
			return true
		}
		for _, e := range list.Elts {
			if lit, ok := e.(*ast.BasicLit); ok {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					texts = append(texts, text)
				}
			}
		}
		return true
	})
	return texts
}
