// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// A mirror that is cloned anew keeps what may have to be said again, with all of
// its history, although no ref leads to it any more; what nobody needs goes.
func TestAMirrorThatIsClonedAnewKeepsWhatIsInForce(t *testing.T) {
	server := gitserver.New(t, gitserver.Options{})
	repo, err := server.Repo("shop")
	if err != nil {
		t.Fatal(err)
	}
	put := func(content string) plumbing.Hash {
		t.Helper()
		commit, err := repo.Put(map[string]string{"web/" + content: content})
		if err != nil {
			t.Fatal(err)
		}
		return plumbing.NewHash(commit)
	}
	m, err := openMirror(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.close() }()
	root := put("root")
	first := put("first")
	bring(t, m, repo.URL, "refs/heads/main")
	kept := put("kept")
	bring(t, m, repo.URL, "refs/heads/main")
	unneeded := put("unneeded")
	bring(t, m, repo.URL, "refs/heads/main")
	if err := repo.Reset("main", root.String()); err != nil {
		t.Fatal(err)
	}
	m.keep = map[plumbing.Hash]bool{kept: true, root: true, plumbing.NewHash("12"): true}

	e, err := parseEndpoint(repo.URL)
	if err != nil {
		t.Fatal(err)
	}
	s, err := (&remote{name: "shop", endpoint: e, maxPack: DefaultLimits().Pack}).open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	l, err := read(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.renew(t.Context(), s, l, []target{{root, root}}); err != nil {
		t.Fatal(err)
	}
	for commit, want := range map[plumbing.Hash]bool{root: true, first: true, kept: true, unneeded: false} {
		if m.known(commit) != want {
			t.Errorf("%s is known: %t", commit, !want)
		}
	}
	c, err := m.commit(kept)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sourcePack(t.Context(), m.store, c.TreeHash, DefaultLimits()); err != nil {
		t.Errorf("it can't be said: %v", err)
	}
	if in, err := m.isAncestor(t.Context(), first, kept); err != nil || !in {
		t.Errorf("its history is there: %t, %v", in, err)
	}
}
