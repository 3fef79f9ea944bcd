// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"fmt"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fleet"
)

// What is refused has the reason of its first problem.
func TestRejectionsHaveReasons(t *testing.T) {
	repository := func(name, url string) string {
		return fmt.Sprintf("apiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: %s}\nspec: {url: %q}\n", name, url)
	}
	for name, tc := range map[string]struct {
		text string
		want events.Reason
	}{
		"no YAML":          {"kind: [", events.ReasonFileUnreadable},
		"an alias":         {"a: &a x\nb: *a\n", events.ReasonFileUnreadable},
		"no declaration":   {"kind: Pod\napiVersion: v1\n", events.ReasonDeclaration},
		"an unknown field": {documents(repositoryShop, application("a", "  typo: 1")), events.ReasonDeclaration},
		"no name":          {repository(`""`, "https://example.com/x.git"), events.ReasonNameInvalid},
		"a bad name":       {repository("A_b", "https://example.com/x.git"), events.ReasonNameInvalid},
		"a number":         {repository("7", "https://example.com/x.git"), events.ReasonNameInvalid},
		"a bad URL":        {repository("x", "ext::sh"), events.ReasonURLRefused},
		"one name twice":   {documents(repositoryShop, application("a"), application("a")), events.ReasonDeclaredTwice},
		"no such thing":    {application("a"), events.ReasonReferenceUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			r := fleet.Parse(files("f.yaml", tc.text))
			if len(r.Rejections) == 0 || r.Rejections[0].Payload("c0ffee").Reason != tc.want {
				t.Errorf("want %s: %+v", tc.want, r.Rejections)
			}
		})
	}
}

// The fleet repository's name is nobody else's: its credentials lie under it,
// and its outages are told of it.
func TestTheFleetsNameIsItsOwn(t *testing.T) {
	const own = "https://example.com/fleet.git"
	reader := fleet.Reader{Own: func(url string) bool { return url == own }}
	read := func(url string) fleet.Result {
		return reader.Parse(files("f.yaml", fmt.Sprintf("apiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: fleet}\nspec: {url: %q}\n", url)))
	}
	if r := read(own); len(r.Rejections) > 0 || len(r.Repositories) != 1 {
		t.Errorf("its own: %+v", r)
	}
	r := read("https://example.com/other.git")
	if len(r.Repositories) > 0 || len(r.Rejections) != 1 || r.Rejections[0].Payload("c0ffee").Reason != events.ReasonNameInvalid {
		t.Errorf("another's: %+v", r)
	}
}
