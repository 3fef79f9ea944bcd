// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The programs are those of the kind that was asked for, and a second test
// that asks gets the same.
func TestBuild(t *testing.T) {
	k := Kind{Race: Race}
	var dir string
	for range 2 {
		var err error
		if dir, err = Build(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"plumbline", "watcher", "renderer", "applier", "auditor", "notifier"} {
		out, err := exec.Command("go", "version", "-m", filepath.Join(dir, name)).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if strings.Contains(string(out), "-race=true") != Race {
			t.Errorf("%s: want race %v:\n%s", name, Race, out)
		}
	}
}

func TestFoldersDiffer(t *testing.T) {
	seen := map[string]Kind{}
	for _, k := range []Kind{{}, {Race: true}, {Tags: "failpoints"}, {Race: true, Tags: "failpoints"}, {Version: "v1"}, {Version: "v2"}} {
		if other, twice := seen[k.folder()]; twice {
			t.Errorf("%+v and %+v share %s", k, other, k.folder())
		}
		seen[k.folder()] = k
	}
}
