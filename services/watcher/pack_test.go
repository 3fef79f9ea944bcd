// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	inmemory "github.com/go-git/go-git/v5/storage/memory"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// mirrored is a mirror of a repository with some content, and its root tree.
func mirrored(t *testing.T, commit gitserver.Commit) (*mirror, plumbing.Hash) {
	t.Helper()
	s := gitserver.New(t, gitserver.Options{})
	repo, err := s.Repo("shop")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Commit(commit); err != nil {
		t.Fatal(err)
	}
	if err := repo.Push(); err != nil {
		t.Fatal(err)
	}
	m, err := openMirror(filepath.Join(t.TempDir(), "mirror"))
	if err != nil {
		t.Fatal(err)
	}
	l := bring(t, m, repo.URL, "refs/heads/main")
	c, err := m.commit(l.tip("refs/heads/main"))
	if err != nil {
		t.Fatal(err)
	}
	return m, c.TreeHash
}

// bring lists and fetches a ref into a mirror.
func bring(t *testing.T, m *mirror, url, ref string) listing {
	t.Helper()
	e, err := parseEndpoint(url)
	if err != nil {
		t.Fatal(err)
	}
	r := &remote{name: "shop", endpoint: e, maxPack: DefaultLimits().Pack}
	s, err := r.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	l, err := read(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	tip := l.tip(ref)
	if err := m.fetch(t.Context(), s, l, []target{{tip, l.refs[ref]}}); err != nil {
		t.Fatal(err)
	}
	if err := m.settle(map[plumbing.Hash]bool{tip: true}); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSourcePackHoldsTheWholeTree(t *testing.T) {
	files := map[string]string{
		"a.yaml": "a: 1\n", "deploy/web/b.yaml": strings.Repeat("b: 2\n", 100_000), "deploy/web/same.yaml": "a: 1\n", "empty": "",
	}
	m, root := mirrored(t, gitserver.Commit{Files: files, Links: map[string]string{"link": "a.yaml"}})
	pack, err := sourcePack(t.Context(), m.store, root, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	again, err := sourcePack(t.Context(), m.store, root, DefaultLimits())
	if err != nil || !bytes.Equal(pack, again) {
		t.Errorf("two packs of one tree differ (%v)", err)
	}
	store := inmemory.NewStorage()
	if err := packfile.UpdateObjectStorage(store, bytes.NewReader(pack)); err != nil {
		t.Fatalf("go-git can't read the pack: %v", err)
	}
	tree, err := object.GetTree(store, root)
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	err = tree.Files().ForEach(func(f *object.File) error {
		content, err := f.Contents()
		if want, ok := files[f.Name]; ok && content != want || f.Name == "link" && content != "a.yaml" {
			t.Errorf("%s: %d bytes, want %d", f.Name, len(content), len(want))
		}
		got++
		return err
	})
	if err != nil || got != len(files)+1 {
		t.Errorf("%d files, %v", got, err)
	}
}

func TestSourcePackKeepsItsLimits(t *testing.T) {
	m, root := mirrored(t, gitserver.Commit{Files: map[string]string{"a/b/c/d.yaml": "x: 1\n", "big.bin": strings.Repeat("x", 10_000)}})
	for name, change := range map[string]func(*Limits){
		"tree":  func(l *Limits) { l.Tree = 10_000 },
		"file":  func(l *Limits) { l.File = 9_999 },
		"files": func(l *Limits) { l.Files = 4 },
		"depth": func(l *Limits) { l.Depth = 2 },
	} {
		limits := DefaultLimits()
		change(&limits)
		_, err := sourcePack(t.Context(), m.store, root, limits)
		var known *sourceError
		if !errors.As(err, &known) || known.reason != events.ReasonSourceTooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestObjectUnderAnotherIdIsSeen(t *testing.T) {
	m, root := mirrored(t, gitserver.Commit{Files: map[string]string{"a.yaml": "a: 1\n"}})
	tree, err := object.GetTree(m.store, root)
	if err != nil {
		t.Fatal(err)
	}
	store := inmemory.NewStorage()
	if store.Objects[root], err = m.store.EncodedObject(plumbing.TreeObject, root); err != nil {
		t.Fatal(err)
	}
	other := &plumbing.MemoryObject{}
	other.SetType(plumbing.BlobObject)
	if _, err := other.Write([]byte("a: 2\n")); err != nil {
		t.Fatal(err)
	}
	store.Objects[tree.Entries[0].Hash] = other
	store.Blobs[tree.Entries[0].Hash] = other
	store.Trees[root] = store.Objects[root]
	if _, err := sourcePack(t.Context(), store, root, DefaultLimits()); !errors.Is(err, errDamaged) {
		t.Errorf("err = %v, want errDamaged", err)
	}
}

func TestDamagedMirrorIsSeen(t *testing.T) {
	m, root := mirrored(t, gitserver.Commit{Files: map[string]string{"a.yaml": strings.Repeat("a: 1\n", 1000)}})
	packs, err := filepath.Glob(filepath.Join(m.dir(), "objects", "pack", "*.pack"))
	if err != nil || len(packs) != 1 {
		t.Fatal(packs, err)
	}
	data, err := os.ReadFile(packs[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := 20; i < len(data)-20; i++ {
		data[i] ^= 0xff
	}
	if err := errors.Join(os.Chmod(packs[0], 0o600), os.WriteFile(packs[0], data, 0o600)); err != nil {
		t.Fatal(err)
	}
	m.store = storage(m.dir())
	if _, err := sourcePack(t.Context(), m.store, root, DefaultLimits()); !errors.Is(err, errDamaged) {
		t.Errorf("err = %v, want errDamaged", err)
	}
}
