// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/plumbline-dev/plumbline/internal/fleet"
)

var update = flag.Bool("update", false, "write the goldens")

// want is the golden's file in each archive; the others are a fleet.
const want = "want"

func TestParseRejects(t *testing.T) {
	golden(t, "testdata/rejected", func(t *testing.T, r fleet.Result) string {
		if len(r.Rejections) == 0 {
			t.Error("nothing is rejected")
		}
		var b strings.Builder
		for _, rejection := range r.Rejections {
			fmt.Fprintf(&b, "%s %s/%s", rejection.File, rejection.Kind, rejection.Name)
			if len(rejection.Holds) > 0 {
				fmt.Fprintf(&b, " holds %s", strings.Join(rejection.Holds, ", "))
			}
			b.WriteString("\n")
			for _, p := range rejection.Problems {
				fmt.Fprintf(&b, "  line %d: %s %s\n", p.Line, p.Field, p.Message)
			}
		}
		for _, one := range r.Repositories {
			fmt.Fprintf(&b, "repository %s\n", one.Name)
		}
		for _, one := range r.Clusters {
			fmt.Fprintf(&b, "cluster %s\n", one.Name)
		}
		for _, one := range r.Applications {
			fmt.Fprintf(&b, "application %s\n", one.Application)
		}
		if strings.Contains(b.String(), "hunter2") || strings.Contains(b.String(), "SECRET-KEY") {
			t.Error("a credential is shown")
		}
		return b.String()
	})
}

func TestParseAccepts(t *testing.T) {
	golden(t, "testdata/accepted", func(t *testing.T, r fleet.Result) string {
		for _, rejection := range r.Rejections {
			t.Errorf("rejected: %+v", rejection)
		}
		text, err := json.MarshalIndent(map[string]any{
			"repositories": r.Repositories, "clusters": r.Clusters, "applications": r.Applications,
		}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return string(text) + "\n"
	})
}

// golden compares what show makes of each archive's fleet with the archive's
// golden. A golden that is missing fails; -update writes it.
func golden(t *testing.T, dir string, show func(*testing.T, fleet.Result) string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no archives in %s (%v)", dir, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var files []fleet.File
			golden, there := "", false
			for _, f := range archive.Files {
				if f.Name == want {
					golden, there = string(f.Data), true
					continue
				}
				files = append(files, fleet.File{Path: f.Name, Data: f.Data})
			}
			result := fleet.Parse(files)
			keys := map[string]bool{}
			for _, r := range result.Rejections {
				if keys[r.Key()] { // the one would be said, then the other, at every look
					t.Errorf("two rejections are said on one subject: %s %s in %s", r.Kind, r.Name, r.File)
				}
				keys[r.Key()] = true
			}
			got := show(t, result)
			if *update {
				archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == want })
				archive.Files = append(archive.Files, txtar.File{Name: want, Data: []byte(got)})
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !there {
				t.Fatal("no golden; run with -update and look at what it writes")
			}
			if diff := cmp.Diff(golden, got); diff != "" {
				t.Errorf("(-golden +now):\n%s", diff)
			}
		})
	}
}
