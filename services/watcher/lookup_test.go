// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/test/gitserver"
)

func TestLookupFindsWhatIsAtAPath(t *testing.T) {
	m, root := mirrored(t, gitserver.Commit{Files: map[string]string{"apps/a/x.yaml": "x\n", "apps/b/x.yaml": "x\n", "apps/c/x.yaml": "y\n"}})
	tips, err := m.tips()
	if err != nil || len(tips) != 1 {
		t.Fatalf("tips %s: %v", tips, err)
	}
	tip := tips[0]
	l := newLookup(m)
	at := func(path string) plumbing.Hash {
		id, err := l.at(tip, path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return id
	}
	for _, path := range []string{".", "", "./", "/"} {
		if got := at(path); got != root {
			t.Errorf("at %q is %s, want the root %s", path, got, root)
		}
	}
	if a, b := at("apps/a"), at("apps/b"); a != b || a.IsZero() {
		t.Errorf("equal folders are %s and %s", a, b)
	}
	if a, b := at("apps/a"), at("apps/c"); a == b {
		t.Errorf("different folders are both %s", a)
	}
	if got := at("apps/a/x.yaml"); got != plumbing.ComputeHash(plumbing.BlobObject, []byte("x\n")) {
		t.Errorf("the file is %s", got)
	}
	for _, nothing := range []string{"apps/d", "nowhere", "apps/a/x.yaml/below"} {
		if got := at(nothing); !got.IsZero() {
			t.Errorf("at %s is %s", nothing, got)
		}
	}
	if len(l.trees) != 3 || len(l.commits) != 1 { // the root, apps, and the folder gone into
		t.Errorf("%d directories and %d commits were read", len(l.trees), len(l.commits))
	}
}
