// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/internal/fleet"
)

// What is made to be expensive is refused, and soon.
func TestLimits(t *testing.T) {
	fill := func(unit string) string { return strings.Repeat(unit, (fleet.MaxFileSize-100)/len(unit)) }
	for name, text := range map[string]string{
		"a byte too many":   fill("# x\n") + strings.Repeat("#", 200),
		"open sequences":    fill("["),
		"open mappings":     fill("{"),
		"nested by indent":  fill("- "),
		"nested keys":       fill("? "),
		"anchors":           fill("- &a x\n"),
		"aliases":           "- &a x\n" + fill("- *a\n"),
		"documents":         fill("---\nx\n"),
		"keys":              fill("k: v\n"),
		"values":            "x: [" + fill("1,") + "1]\n",
		"one long text":     "x: " + fill("y") + "\n",
		"one long key":      fill("y") + ": x\n",
		"quotes":            fill(`"`),
		"tags":              fill("!!x "),
		"directives":        fill("%TAG ! x\n"),
		"folded":            "x: >\n" + fill(" y\n"),
		"spaces":            fill(" ") + "x",
		"merge keys":        "a: &a {x: 1}\nb:\n" + fill("  <<: *a\n"),
		"invalid documents": fill("kind: x\n---\n"),
	} {
		t.Run(name, func(t *testing.T) {
			var r fleet.Result
			if took := processor(t, func() { r = fleet.Parse(files("f.yaml", text)) }); took > 10*time.Second {
				t.Errorf("took %s of processor time", took)
			}
			if len(r.Rejections) == 0 || len(r.Applications) > 0 {
				t.Errorf("%d rejections", len(r.Rejections))
			}
			if len(r.Rejections) > 5000 {
				t.Errorf("%d rejections of one file", len(r.Rejections))
			}
		})
	}
}

// A token in front of the host is no path of a host, whatever else is missing.
func TestCredentialsWithoutASchemeAreRefused(t *testing.T) {
	for _, url := range []string{"git:s3cret@example.com/x.git", "x-access-token:s3cret@github.com:o/r.git"} {
		r := fleet.Parse(files("f.yaml", fmt.Sprintf("apiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: shop}\nspec: {url: %q}\n", url)))
		if len(r.Repositories) > 0 || len(r.Rejections) != 1 {
			t.Errorf("%s was taken", url)
		} else if text := fmt.Sprint(r.Rejections); strings.Contains(text, "s3cret") {
			t.Errorf("the rejection shows it: %s", text)
		}
	}
}

// What no event can carry is refused where it is declared.
func TestLargeDeclarationIsRefused(t *testing.T) {
	rule := "{kind: Deployment, path: /" + strings.Repeat("x", 1000) + "}, "
	for n, want := range map[int]int{12: 0, 20: 1} {
		r := fleet.Parse(files("f.yaml", documents(repositoryShop, application("web", "  audit: {ignore: ["+strings.Repeat(rule, n)+"]}"))))
		if len(r.Rejections) != want || len(r.Applications) != 1-want {
			t.Errorf("%d rules: %d rejections, %d applications", n, len(r.Rejections), len(r.Applications))
		}
	}
}

// A large fleet is read and merged in seconds.
func TestLargeFleet(t *testing.T) {
	const applications = 5000
	in := files("repos.yaml", repositoryShop)
	for i := range applications / 100 {
		var texts []string
		for j := range 100 {
			texts = append(texts, application(fmt.Sprintf("app-%d-%d", i, j), "  namespace: shop"))
		}
		in = append(in, files(fmt.Sprintf("apps-%d.yaml", i), documents(texts...))...)
	}
	took := processor(t, func() {
		state := fleet.Merge(fleet.State{}, fleet.Parse(in), recipient)
		if len(state.Applications) != applications {
			t.Fatalf("%d applications, %d rejections", len(state.Applications), len(state.Rejections))
		}
		in[0].Data = []byte("kind: [") // now every application is held
		state = fleet.Merge(state, fleet.Parse(in), recipient)
		if lists := state.Lists(); len(lists["local"]) != applications || !lists["local"][0].Held {
			t.Errorf("%d listed", len(lists["local"]))
		}
	})
	if took > 20*time.Second {
		t.Errorf("took %s of processor time", took)
	}
}

// shop is the repository that declarations below refer to.
const shop = "apiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: shop}\nspec: {url: 'https://git.example.com/shop.git'}\n---\n"

// Refs and paths reach git on the other side, and mirrors on this one.
func TestAdvisoryC3RefsAndPathsAreNoOptions(t *testing.T) {
	const application = shop + "apiVersion: plumbline.dev/v1alpha1\nkind: Application\nmetadata: {name: web}\nspec: {source: {repository: shop, %s: %q}, namespace: shop}\n"
	for _, bad := range []string{"-x", "--upload-pack=touch /tmp/x", "a\nb", "a b", "../../x", "a/../b", "/a", "a..b", "a~1", "a^b", "a:b", "a\\b", "a?b", "a[b", "a*", "main.lock", "@", "@{u}", "refs/heads/x", ".a", "a//b", "\u202emain"} {
		for _, field := range []string{"branch", "tag", "commit"} {
			got := fleet.Parse([]fleet.File{{Path: "f.yaml", Data: fmt.Appendf(nil, application, field, bad)}})
			if len(got.Rejections) == 0 && bad != "\u202emain" {
				t.Errorf("%s %q was taken", field, bad)
			}
		}
	}
	for field, good := range map[string]string{"branch": "release/1.0", "tag": "v1.0", "commit": "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "path": "a/b"} {
		if got := fleet.Parse([]fleet.File{{Path: "f.yaml", Data: fmt.Appendf(nil, application, field, good)}}); len(got.Rejections) > 0 {
			t.Errorf("%s %q was refused: %+v", field, good, got.Rejections)
		}
	}
	for _, bad := range []string{"..", "../x", "/etc", "a/../../b", "a\x00b"} {
		if got := fleet.Parse([]fleet.File{{Path: "f.yaml", Data: fmt.Appendf(nil, application, "path", bad)}}); len(got.Rejections) == 0 {
			t.Errorf("path %q was taken", bad)
		}
	}
}

// An ignore rule is a pointer to a field, and never an expression.
func TestAdvisoryC7IgnoreRulesArePointersOnly(t *testing.T) {
	const application = shop + "apiVersion: plumbline.dev/v1alpha1\nkind: Application\nmetadata: {name: web}\nspec: {source: {repository: shop}, namespace: shop, audit: {ignore: [{kind: Deployment, %s: %q}]}}\n"
	for _, bad := range []string{"", "/", ".spec.replicas", "$.spec", "spec", ".. | env", "def f: f; f", "env.HOME", "input"} {
		if got := fleet.Parse([]fleet.File{{Path: "f.yaml", Data: fmt.Appendf(nil, application, "path", bad)}}); len(got.Rejections) == 0 {
			t.Errorf("path %q was taken", bad)
		}
	}
	if got := fleet.Parse([]fleet.File{{Path: "f.yaml", Data: fmt.Appendf(nil, application, "path", "/spec/replicas")}}); len(got.Rejections) > 0 {
		t.Errorf("a pointer was refused: %+v", got.Rejections)
	}
	for _, field := range []string{"jqPathExpression", "jqPathExpressions", "expression", "cel", "jsonPointers"} {
		if got := fleet.Parse([]fleet.File{{Path: "f.yaml", Data: fmt.Appendf(nil, application, field, "/spec")}}); len(got.Rejections) == 0 {
			t.Errorf("the field %s was taken", field)
		}
	}
}
