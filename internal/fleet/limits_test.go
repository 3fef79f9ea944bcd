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
			start := time.Now()
			r := fleet.Parse(files("f.yaml", text))
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %s", took)
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
	start := time.Now()
	state := fleet.Merge(fleet.State{}, fleet.Parse(in), recipient)
	if len(state.Applications) != applications {
		t.Fatalf("%d applications, %d rejections", len(state.Applications), len(state.Rejections))
	}
	in[0].Data = []byte("kind: [") // now every application is held
	state = fleet.Merge(state, fleet.Parse(in), recipient)
	if lists := state.Lists(); len(lists["local"]) != applications || !lists["local"][0].Held {
		t.Errorf("%d listed", len(lists["local"]))
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
}
