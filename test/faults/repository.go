// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// repository writes commits into a bare repository without a git process: a
// run pushes hundreds. A ref that is set is a push, which faults before the
// server don't keep out. One goroutine at a time may use it.
type repository struct {
	*gitserver.Repo
	store   *filesystem.Storage
	commits map[*Snapshot]plumbing.Hash
	known   map[plumbing.Hash]bool // objects that are there
}

func (w *World) openRepository(name string) error {
	repo, err := w.Repo(name)
	if err != nil {
		return err
	}
	w.repos[name] = newRepository(repo)
	return nil
}

func newRepository(repo *gitserver.Repo) *repository {
	return &repository{
		Repo: repo, store: filesystem.NewStorage(osfs.New(repo.Bare), cache.NewObjectLRUDefault()),
		commits: map[*Snapshot]plumbing.Hash{}, known: map[plumbing.Hash]bool{},
	}
}

// commit writes a snapshot and what is before it, and returns its id: equal
// snapshots in equal order have equal ids.
func (r *repository) commit(s *Snapshot) (plumbing.Hash, error) {
	if hash, ok := r.commits[s]; ok {
		return hash, nil
	}
	var parents []plumbing.Hash
	if s.Parent != nil {
		parent, err := r.commit(s.Parent)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		parents = append(parents, parent)
	}
	hash, err := r.write(s.files(), fmt.Sprintf("Commit %d", s.ID), s.ID, parents)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	r.commits[s] = hash
	return hash, nil
}

// epochOfCommits is the date of the first commit; the others follow by the
// second. No order comes from it.
var epochOfCommits = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// dateOf is when a commit says that it was made. It says all sorts of things,
// and nothing may follow from it.
func dateOf(n int) time.Time {
	switch n % 5 {
	case 0:
		return time.Unix(0, 0).UTC()
	case 1:
		return time.Date(2106, 2, 7, 6, 28, 15, 0, time.UTC)
	}
	return epochOfCommits.Add(-time.Duration(n) * time.Hour) // before its parent
}

func (r *repository) write(files map[string]string, message string, n int, parents []plumbing.Hash) (plumbing.Hash, error) {
	tree, err := r.tree(files)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("write a commit of %s: %w", r.Name, err)
	}
	by := object.Signature{Name: "Ada", Email: "ada@example.com", When: dateOf(n)}
	commit := &object.Commit{Author: by, Committer: by, Message: message + "\n", TreeHash: tree, ParentHashes: parents}
	hash, err := r.put(commit)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("write a commit of %s: %w", r.Name, err)
	}
	return hash, nil
}

// tree writes files, by path, as a tree of trees.
func (r *repository) tree(files map[string]string) (plumbing.Hash, error) {
	folders := map[string]map[string]string{}
	tree := &object.Tree{}
	for path, text := range files {
		if folder, rest, nested := strings.Cut(path, "/"); nested {
			if folders[folder] == nil {
				folders[folder] = map[string]string{}
			}
			folders[folder][rest] = text
			continue
		}
		blob := &plumbing.MemoryObject{}
		blob.SetType(plumbing.BlobObject)
		if _, err := blob.Write([]byte(text)); err != nil {
			return plumbing.ZeroHash, err
		}
		hash, err := r.keep(blob)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		tree.Entries = append(tree.Entries, object.TreeEntry{Name: path, Mode: filemode.Regular, Hash: hash})
	}
	for folder, inner := range folders {
		hash, err := r.tree(inner)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		tree.Entries = append(tree.Entries, object.TreeEntry{Name: folder, Mode: filemode.Dir, Hash: hash})
	}
	// Git sorts a folder as if its name ended in a slash.
	name := func(e object.TreeEntry) string {
		if e.Mode == filemode.Dir {
			return e.Name + "/"
		}
		return e.Name
	}
	slices.SortFunc(tree.Entries, func(a, b object.TreeEntry) int { return cmp.Compare(name(a), name(b)) })
	return r.put(tree)
}

func (r *repository) put(o interface {
	Encode(plumbing.EncodedObject) error
},
) (plumbing.Hash, error) {
	encoded := &plumbing.MemoryObject{}
	if err := o.Encode(encoded); err != nil {
		return plumbing.ZeroHash, err
	}
	return r.keep(encoded)
}

func (r *repository) keep(o plumbing.EncodedObject) (plumbing.Hash, error) {
	hash := o.Hash()
	if r.known[hash] {
		return hash, nil
	}
	if _, err := r.store.SetEncodedObject(o); err != nil {
		return hash, err
	}
	r.known[hash] = true
	return hash, nil
}

// point sets a branch.
func (r *repository) point(branch string, to plumbing.Hash) error {
	err := r.store.SetReference(plumbing.NewHashReference(plumbing.NewBranchReferenceName(branch), to))
	if err != nil {
		return fmt.Errorf("push to %s/%s: %w", r.Name, branch, err)
	}
	return nil
}

// remove deletes a branch.
func (r *repository) remove(branch string) error {
	if err := r.store.RemoveReference(plumbing.NewBranchReferenceName(branch)); err != nil {
		return fmt.Errorf("delete %s/%s: %w", r.Name, branch, err)
	}
	return nil
}

// declaration is the fleet's files for applications.
func (w *World) declaration(apps []App) map[string]string {
	files := map[string]string{}
	for _, name := range w.Plan.Repositories {
		files[name+".yaml"] = fmt.Sprintf(`apiVersion: plumbline.dev/v1alpha1
kind: Repository
metadata: {name: %s}
spec: {url: %q, interval: %s}
`, name, w.repos[name].URL, pollEvery)
	}
	for _, app := range apps {
		files[app.Name+".yaml"] = fmt.Sprintf(`apiVersion: plumbline.dev/v1alpha1
kind: Application
metadata: {name: %s}
spec:
  source: {repository: %s, branch: %s, path: %s}
  namespace: %s
  createNamespace: true
  audit: {alertAfter: %s}
`, app.Name, app.Repository, app.Branch, app.path(), app.Namespace, app.AlertAfter)
	}
	return files
}

// pollEvery is how often the watcher looks at a repository without a webhook.
const pollEvery = 2 * time.Second
