// SPDX-License-Identifier: Apache-2.0

package floors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pkg is what go list says of a package.
type pkg struct {
	ImportPath, Name, Dir                    string
	Imports, TestImports, XTestImports, Deps []string
	GoFiles, TestGoFiles, XTestGoFiles       []string
}

func (p pkg) path() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Dir,Imports,TestImports,XTestImports,Deps,GoFiles,TestGoFiles,XTestGoFiles", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestFloors(t *testing.T) {
	all := list(t)
	if len(all) < 5 {
		t.Fatalf("go list shows %d packages: it can't be all", len(all))
	}
	for _, fault := range check(all) {
		t.Error(fault)
	}
}

func TestEveryFileSaysItsLicenceAndEveryPackageWhatItIs(t *testing.T) {
	for _, p := range list(t) {
		if p.Name != "main" && !slices.Contains(p.GoFiles, "doc.go") {
			t.Errorf("%s has no doc.go: say what it consumes, emits, owns and does not do", p.path())
		}
		for _, file := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			name := filepath.Join(p.Dir, file)
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(text, []byte("// SPDX-License-Identifier: Apache-2.0\n")) {
				t.Errorf("%s/%s does not begin with its SPDX line", p.path(), file)
			}
		}
	}
}

// check returns every breach of the tables, in words.
func check(all []pkg) []string {
	var faults []string
	say := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, p := range all {
		floor, ok := floorOf(p.path())
		if !ok {
			say("%s stands on no floor: add it to the table of internal/floors", p.path())
			continue
		}
		faults = append(faults, checkNames(p)...)
		faults = append(faults, checkInside(p, floor)...)
		faults = append(faults, checkOutside(p, floor)...)
	}
	return faults
}

func checkNames(p pkg) []string {
	var faults []string
	if slices.Contains(forbiddenNames, path.Base(p.path())) || slices.Contains(forbiddenNames, p.Name) {
		faults = append(faults, fmt.Sprintf("%s: the name says nothing; name it for its noun", p.path()))
	}
	for _, file := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
		if slices.Contains(forbiddenNames, strings.TrimSuffix(strings.TrimSuffix(file, ".go"), "_test")) {
			faults = append(faults, fmt.Sprintf("%s/%s: the name says nothing; name it for its noun", p.path(), file))
		}
	}
	return faults
}

// checkInside checks the imports of our own packages.
func checkInside(p pkg, floor int) []string {
	var faults []string
	for _, i := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
		inside, ours := strings.CutPrefix(i, module+"/")
		if !ours || inside == p.path() {
			continue
		}
		if a, b := service(p.path()), service(inside); a != "" && b != "" && a != b {
			faults = append(faults, fmt.Sprintf("%s imports %s: services meet in events alone", p.path(), inside))
		}
		below, ok := floorOf(inside)
		tested := !slices.Contains(p.Imports, i)
		switch {
		case !ok || floor == support || tested && below == support:
		case below == support:
			faults = append(faults, fmt.Sprintf("%s imports %s: only tests may", p.path(), inside))
		case below > floor && !tested:
			faults = append(faults, fmt.Sprintf("%s (floor %d) imports %s (floor %d): imports go down only", p.path(), floor, inside, below))
		}
	}
	return faults
}

// checkOutside checks what p imports directly and what it reaches.
func checkOutside(p pkg, floor int) []string {
	var faults []string
	for _, rule := range onlyIn {
		if floor == support || slices.ContainsFunc(rule.in, func(pattern string) bool { return matches(pattern, p.path()) }) {
			continue
		}
		for _, i := range p.Imports {
			if below(i, rule.imports) {
				faults = append(faults, fmt.Sprintf("%s imports %s: %s", p.path(), i, rule.why))
			}
		}
	}
	for _, rule := range never {
		if !matches(rule.pattern, p.path()) {
			continue
		}
		for _, dep := range p.Deps {
			for _, reach := range rule.reach {
				if below(dep, reach) {
					faults = append(faults, fmt.Sprintf("%s reaches %s: %s", p.path(), dep, rule.why))
				}
			}
		}
	}
	return faults
}

func floorOf(p string) (int, bool) {
	for _, f := range floors {
		if matches(f.pattern, p) {
			return f.floor, true
		}
	}
	return 0, false
}

func matches(pattern, p string) bool {
	prefix, deep := strings.CutSuffix(pattern, "/...")
	return p == prefix || deep && strings.HasPrefix(p, prefix+"/")
}

// below reports whether the import path p is prefix, a later major version of
// it, or lies below it.
func below(p, prefix string) bool {
	return p == prefix || strings.HasPrefix(p, prefix+"/")
}

// service is the service that p belongs to, or "".
func service(p string) string {
	rest, ok := strings.CutPrefix(p, "services/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}
