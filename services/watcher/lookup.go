// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// lookup reads commits and directories of a mirror, each once: the
// applications of a repository ask for the same ones. It lasts for one pass,
// in which nothing is fetched any more.
type lookup struct {
	mirror  *mirror
	commits map[plumbing.Hash]*object.Commit
	trees   map[plumbing.Hash]map[string]object.TreeEntry
}

func newLookup(m *mirror) *lookup {
	return &lookup{mirror: m, commits: map[plumbing.Hash]*object.Commit{}, trees: map[plumbing.Hash]map[string]object.TreeEntry{}}
}

// commit is [mirror.commit].
func (l *lookup) commit(id plumbing.Hash) (*object.Commit, error) {
	if c, ok := l.commits[id]; ok {
		return c, nil
	}
	c, err := l.mirror.commit(id)
	if err == nil {
		l.commits[id] = c
	}
	return c, err
}

// known is [mirror.known].
func (l *lookup) known(commit plumbing.Hash) bool {
	_, ok := l.commits[commit]
	return ok || l.mirror.known(commit)
}

// at is the id of the tree or file at a slash-separated path of a commit; the
// zero id where there is nothing.
func (l *lookup) at(commit plumbing.Hash, path string) (plumbing.Hash, error) {
	c, err := l.commit(commit)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	at := object.TreeEntry{Mode: filemode.Dir, Hash: c.TreeHash}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." {
			continue
		}
		if at.Mode != filemode.Dir {
			return plumbing.ZeroHash, nil
		}
		entries, err := l.tree(at.Hash)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		var ok bool
		if at, ok = entries[part]; !ok {
			return plumbing.ZeroHash, nil
		}
	}
	return at.Hash, nil
}

func (l *lookup) tree(id plumbing.Hash) (map[string]object.TreeEntry, error) {
	if entries, ok := l.trees[id]; ok {
		return entries, nil
	}
	tree, err := object.GetTree(l.mirror.store, id)
	if err != nil {
		return nil, fmt.Errorf("%w: tree %s: %w", errDamaged, id, err)
	}
	entries := make(map[string]object.TreeEntry, len(tree.Entries))
	for _, e := range tree.Entries {
		entries[e.Name] = e
	}
	l.trees[id] = entries
	return entries, nil
}
