// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"os"
	"runtime/debug"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

func TestMain(m *testing.M) {
	ServeChild()
	// Whatever GOGC says: to start a child in namespaces of its own copies the
	// tables of all memory that this process holds.
	debug.SetGCPercent(100)
	os.Exit(m.Run())
}

// repo builds Git trees of files. A name that ends in " -> target" is a
// symbolic link, one that ends in " @" a submodule.
type repo struct {
	t     testing.TB
	store *memory.Storage
}

func newRepo(t testing.TB) *repo { return &repo{t, memory.NewStorage()} }

func (r *repo) object(kind plumbing.ObjectType, write func(*plumbing.MemoryObject) error) plumbing.Hash {
	r.t.Helper()
	o := &plumbing.MemoryObject{}
	o.SetType(kind)
	if err := write(o); err != nil {
		r.t.Fatal(err)
	}
	id, err := r.store.SetEncodedObject(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func (r *repo) blob(data string) plumbing.Hash {
	r.t.Helper()
	return r.object(plumbing.BlobObject, func(o *plumbing.MemoryObject) error {
		_, err := o.Write([]byte(data))
		return err
	})
}

// tree writes the tree of files by path and returns its id.
func (r *repo) tree(files map[string]string) plumbing.Hash {
	r.t.Helper()
	entries := map[string]object.TreeEntry{}
	below := map[string]map[string]string{}
	for name, data := range files {
		file, target, isLink := strings.Cut(name, " -> ")
		if first, rest, ok := strings.Cut(file, "/"); ok {
			if below[first] == nil {
				below[first] = map[string]string{}
			}
			if isLink {
				rest += " -> " + target
			}
			below[first][rest] = data
			continue
		}
		module, isModule := strings.CutSuffix(file, " @")
		switch {
		case isLink:
			entries[file] = object.TreeEntry{Name: file, Mode: filemode.Symlink, Hash: r.blob(target)}
		case isModule:
			entries[module] = object.TreeEntry{Name: module, Mode: filemode.Submodule, Hash: plumbing.NewHash(strings.Repeat("1", 40))}
		default:
			entries[file] = object.TreeEntry{Name: file, Mode: filemode.Regular, Hash: r.blob(data)}
		}
	}
	for name, files := range below {
		entries[name] = object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: r.tree(files)}
	}
	return r.entries(entries)
}

func (r *repo) entries(entries map[string]object.TreeEntry) plumbing.Hash {
	r.t.Helper()
	t := object.Tree{}
	for _, e := range entries {
		t.Entries = append(t.Entries, e)
	}
	sort.Sort(object.TreeEntrySorter(t.Entries))
	return r.object(plumbing.TreeObject, func(o *plumbing.MemoryObject) error { return t.Encode(o) })
}

// unpacked is the tree of files, as it comes out of a pack.
func unpacked(t testing.TB, files map[string]string) *tree {
	t.Helper()
	r := newRepo(t)
	id := r.tree(files)
	got, err := unpack(r.pack(), id.String())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// testLimits are far from what a test's render takes, on a busy machine too.
var testLimits = limits{timeout: time.Minute, memory: 1 << 30, output: 32 << 20}

func testPool(t testing.TB, size int, l limits) *pool {
	t.Helper()
	p := newPool(size, l, bustest.Log(t))
	t.Cleanup(p.close)
	return p
}

// configMap is a small object.
func configMap(name, value string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {v: " + value + "}\n"
}
