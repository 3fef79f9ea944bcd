// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	inmemory "github.com/go-git/go-git/v5/storage/memory"
)

// BenchmarkSourcePack packs a repository of 20,000 small files.
func BenchmarkSourcePack(b *testing.B) {
	store := inmemory.NewStorage()
	root := largeTree(b, store, 2000, 10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sourcePack(b.Context(), store, root, DefaultLimits()); err != nil {
			b.Fatal(err)
		}
	}
}

// largeTree is a tree of folders with small files.
func largeTree(tb testing.TB, store storer.EncodedObjectStorer, folders, files int) plumbing.Hash {
	tb.Helper()
	keep := func(o interface {
		Encode(plumbing.EncodedObject) error
	},
	) plumbing.Hash {
		encoded := store.NewEncodedObject()
		if err := o.Encode(encoded); err != nil {
			tb.Fatal(err)
		}
		id, err := store.SetEncodedObject(encoded)
		if err != nil {
			tb.Fatal(err)
		}
		return id
	}
	var all object.Tree
	for d := range folders {
		var folder object.Tree
		for f := range files {
			blob := store.NewEncodedObject()
			blob.SetType(plumbing.BlobObject)
			w, err := blob.Writer()
			if err != nil {
				tb.Fatal(err)
			}
			if _, err := fmt.Fprintf(w, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: item-%d}\ndata:\n  folder: \"%d\"\n  text: %q\n", f, d, fmt.Sprintf("%040d", d*files+f)); err != nil {
				tb.Fatal(err)
			}
			id, err := store.SetEncodedObject(blob)
			if err != nil {
				tb.Fatal(err)
			}
			folder.Entries = append(folder.Entries, object.TreeEntry{Name: fmt.Sprintf("item-%d.yaml", f), Mode: filemode.Regular, Hash: id})
		}
		all.Entries = append(all.Entries, object.TreeEntry{Name: fmt.Sprintf("app-%04d", d), Mode: filemode.Dir, Hash: keep(&folder)})
	}
	return keep(&all)
}

// BenchmarkInspect looks at the pack of a repository of 20,000 small files, as
// it is received for the first time, and at one of a single commit.
func BenchmarkInspect(b *testing.B) {
	for _, folders := range []int{2000, 1} {
		store := inmemory.NewStorage()
		pack, err := sourcePack(b.Context(), store, largeTree(b, store, folders, 10), DefaultLimits())
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("files=%d", folders*10), func(b *testing.B) {
			b.SetBytes(int64(len(pack)))
			b.ReportAllocs()
			for b.Loop() {
				looked := inspect(bytes.NewReader(pack))
				if _, err := io.Copy(io.Discard, looked); err != nil {
					b.Fatal(err)
				}
				looked.close()
			}
		})
	}
}
