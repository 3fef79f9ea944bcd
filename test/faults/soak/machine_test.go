// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever is not committed marks the commit, a file that Git doesn't know yet
// as well; docs don't.
func TestCommitIsMarkedByWhatIsNotInIt(t *testing.T) {
	t.Chdir(t.TempDir())
	git := func(args ...string) {
		t.Helper()
		args = append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}, args...)
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil { //nolint:gosec // the test's own arguments
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	write := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dirty := func() bool {
		t.Helper()
		id, err := commit()
		if err != nil {
			t.Fatal(err)
		}
		return strings.HasSuffix(id, "-dirty")
	}
	git("init", "-q")
	write("main.go")
	git("add", ".")
	git("commit", "-qm", "begin")
	write("docs/faults.md")
	if dirty() {
		t.Error("docs mark it")
	}
	write("more.go")
	if !dirty() {
		t.Error("a file that isn't added does not mark it")
	}
}
