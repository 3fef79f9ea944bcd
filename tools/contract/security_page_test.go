// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"os"
	"path/filepath"
	"testing"
)

// What fuzzing found is counted in a package at the root and in one far below,
// and what is no target's is not.
func TestKeptInputsAreCountedAtAnyDepth(t *testing.T) {
	root := t.TempDir()
	for _, path := range []string{
		"events/testdata/fuzz/FuzzDecode/1", "events/testdata/fuzz/FuzzDecode/2", "a/b/c/testdata/fuzz/FuzzToken/1",
		"a/b/c/testdata/fuzz/FuzzGone/1", "events/testdata/FuzzDecode/1",
	} {
		file := filepath.Join(root, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	targets := []testFunc{{pkg: "events", name: "FuzzDecode"}, {pkg: "a/b/c", name: "FuzzToken"}, {pkg: "a", name: "FuzzNothing"}}
	if n, err := keptInputs(root, targets); err != nil || n != 3 {
		t.Errorf("%d inputs, %v; want 3", n, err)
	}
}
