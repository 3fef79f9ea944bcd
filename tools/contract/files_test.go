// SPDX-License-Identifier: Apache-2.0

package contract_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbline-dev/plumbline/tools/contract"
)

const root = "../.."

func TestWhatIsCommittedIsWhatTheSourceSays(t *testing.T) {
	files, err := contract.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Errorf("%v; run make generate", err)
			continue
		}
		if diff := cmp.Diff(string(got), string(want)); diff != "" {
			t.Errorf("%s is out of date; run make generate (-committed +now):\n%s", name, diff)
		}
	}
}

func TestFilesAreTheSameEveryTime(t *testing.T) {
	first, err := contract.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		again, err := contract.Files(root)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Fatal(diff)
		}
	}
}
