// SPDX-License-Identifier: Apache-2.0

package playbooks

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// constants are the values of all constants of a type in the package events.
func constants(t *testing.T, typeName string) []string {
	t.Helper()
	files, err := filepath.Glob("../../events/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				return true
			}
			if id, ok := v.Type.(*ast.Ident); !ok || id.Name != typeName {
				return true
			}
			if lit, ok := v.Values[0].(*ast.BasicLit); ok {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					values = append(values, text)
				}
			}
			return true
		})
	}
	if len(values) == 0 {
		t.Fatalf("no constant of type %s", typeName)
	}
	return values
}

// Every reason code and every kind of divergence has a page, no page is
// nobody's, and the index links each.
func TestEveryCodeHasItsPage(t *testing.T) {
	want := map[string]bool{"fleet-rejected": true}
	for _, code := range constants(t, "Reason") {
		want[code] = true
	}
	for _, kind := range constants(t, "DivergenceKind") {
		want["divergence-"+kind] = true
	}
	index, err := Read("README")
	if err != nil {
		t.Fatal(err)
	}
	have, err := pages.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range have {
		page := strings.TrimSuffix(f.Name(), ".md")
		if page == "README" {
			continue
		}
		if !want[page] {
			t.Errorf("%s is the page of no code", f.Name())
		}
		delete(want, page)
		if !strings.Contains(index, "["+page+"]("+page+".md)") {
			t.Errorf("the index doesn't link %s", page)
		}
	}
	for page := range want {
		t.Errorf("%s has no page", page)
	}
}

// A page says what it has to, in order, and its links lead somewhere.
func TestPagesAreWhole(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^):]+)\.md\)`)
	have, err := pages.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range have {
		page := strings.TrimSuffix(f.Name(), ".md")
		text, err := Read(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := Read(m[1]); err != nil && !strings.Contains(m[1], "/") {
				t.Errorf("%s links %s: %v", page, m[1], err)
			}
		}
		if page == "README" {
			continue
		}
		rest := text
		for _, part := range []string{"# " + page + ": ", "## Meanwhile\n", "## Look\n\n```sh\n", "## Mend\n\n- ", "## It closes\n"} {
			_, after, ok := strings.Cut(rest, part)
			if !ok {
				t.Errorf("%s lacks %q, or it stands elsewhere", page, part)
				break
			}
			rest = after
		}
		for i, line := range strings.Split(text, "\n") {
			if len(line) > 110 {
				t.Errorf("%s.md:%d has %d characters", page, i+1, len(line))
			}
		}
	}
}

// Whatever payload carries a reason has a page by it.
func TestOfEveryPayloadWithAReason(t *testing.T) {
	for i := range events.Types {
		typ := &events.Types[i]
		data := typ.New()
		v := reflect.ValueOf(data).Elem()
		want := ""
		switch {
		case v.FieldByName("Reason").IsValid():
			v.FieldByName("Reason").SetString(string(events.ReasonForbidden))
			want = string(events.ReasonForbidden)
		case typ.Name() == "divergence.detected" || typ.Name() == "divergence.persisted":
			v.FieldByName("Kind").SetString(string(events.DivergenceChanged))
			want = "divergence-changed"
		}
		if got := Of(events.Event{Type: typ, Data: data}); got != want {
			t.Errorf("%s: page %q, want %q", typ.Name(), got, want)
		}
	}
	limited := &events.AuditLimited{Objects: []events.LimitedObject{{Reason: events.ReasonNoDigestKey}}}
	if got := Of(events.Event{Data: limited}); got != "no_digest_key" {
		t.Errorf("audit.limited: page %q", got)
	}
	for _, reason := range []events.Reason{"", "of a newer version"} {
		if got := Of(events.Event{Data: &events.FleetRejected{Reason: reason}}); got != "fleet-rejected" {
			t.Errorf("a declaration refused for %q: page %q", reason, got)
		}
	}
	if got := Of(events.Event{Data: &events.RenderFailed{Reason: "of a newer version"}}); got != "" {
		t.Errorf("an unknown code has the page %q", got)
	}
	if got := URL(DefaultBase+"/", "syntax"); got != DefaultBase+"/syntax.md" || URL(DefaultBase, "") != "" {
		t.Errorf("URL %q", got)
	}
}
