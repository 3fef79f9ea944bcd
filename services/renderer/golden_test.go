// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

var update = flag.Bool("update", false, "write what renders give into the goldens")

// TestGoldens renders the folder "app" of each archive: what it must give is
// the archive's last file, "want". Only names that begin with "in/" are of
// the repository.
func TestGoldens(t *testing.T) {
	goldens, err := filepath.Glob("testdata/render/*.txtar")
	if err != nil || len(goldens) == 0 {
		t.Fatalf("%d goldens, %v", len(goldens), err)
	}
	p := testPool(t, 1, testLimits)
	for _, name := range goldens {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files, want := map[string]string{}, ""
			for _, f := range archive.Files {
				if in, ok := strings.CutPrefix(f.Name, "in/"); ok {
					files[in] = string(f.Data)
				} else if f.Name == "want" {
					want = string(f.Data)
				}
			}
			got := describe(t, p, files)
			if *update {
				archive.Files = append(withoutWant(archive.Files), txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(name, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func withoutWant(files []txtar.File) []txtar.File {
	var out []txtar.File
	for _, f := range files {
		if f.Name != "want" {
			out = append(out, f)
		}
	}
	return out
}

// describe renders the folder "app" and writes what came out, in the order of
// application: place and body of each object, or the failure.
func describe(t testing.TB, p *pool, files map[string]string) string {
	t.Helper()
	b, f := renderFiles(t, p, files, "app")
	if f != nil {
		return fmt.Sprintf("%s at %s:%d\n%s\n", f.Reason, f.File, f.Line, f.Message)
	}
	var out bytes.Buffer
	for _, o := range b.Objects {
		body := o.Body
		if seal.IsSecret(body) {
			blind, err := seal.BlindSecret(body, sourceKey(t).DigestKey("local"))
			if err != nil {
				t.Fatal(err)
			}
			body = blind
		}
		data, err := manifest.Canonical(body)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s:%d %s\n", o.File, o.Line, data)
	}
	return out.String()
}

// renderFiles renders a folder of files into a bundle that is not sealed yet.
func renderFiles(t testing.TB, p *pool, files map[string]string, folder string) (manifest.Bundle, *failure) {
	t.Helper()
	res, err := p.render(t.Context(), unpacked(t, files), folder)
	if err != nil {
		t.Fatal(err)
	}
	if res.Failure != nil {
		return manifest.Bundle{}, res.Failure
	}
	d := events.Declaration{Namespace: "shop", Cluster: "local", Recipient: "age1", Source: events.SourceSpec{Path: folder}}
	b, err := assemble(res.Objects, d, sourceKey(t).DigestKey("local"))
	if err != nil {
		f, ok := failureOf(err)
		if !ok {
			t.Fatal(err)
		}
		return b, f
	}
	return b, nil
}
