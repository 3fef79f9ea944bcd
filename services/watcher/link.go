// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"fmt"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/plumbline-dev/plumbline/internal/fleet"
)

// fault is why what stands at a name below the fleet's folder can't be read,
// though declarations may be behind it; empty: there is no such reason.
func (m *mirror) fault(commit plumbing.Hash, folder, name string, entry object.TreeEntry) (string, error) {
	switch {
	case fleet.IsHidden(name):
		return "", nil
	case entry.Mode == filemode.Submodule:
		return "is a submodule, and submodules are not read; commit the declarations themselves", nil
	case entry.Mode != filemode.Symlink:
		return "", nil
	}
	text, err := m.declarations(entry.Hash)
	if err != nil {
		return "", err
	}
	target := path.Join(folder, path.Dir(name), string(text))
	below, inside := strings.CutPrefix(target+"/", strings.TrimPrefix(folder+"/", "./"))
	below = strings.TrimSuffix(below, "/")
	mode, err := m.mode(commit, target)
	switch {
	case err != nil:
		return "", err
	case inside && mode == filemode.Dir, inside && isFile(mode) && fleet.IsDeclaration(below):
		return "", nil // it is read where it is
	case isFile(mode) && !fleet.IsDeclaration(name):
		return "", nil
	}
	return "is a symbolic link, and links are not read; commit the declarations themselves", nil
}

// mode is what is at a path of a commit; [filemode.Empty]: nothing.
func (m *mirror) mode(commit plumbing.Hash, path string) (filemode.FileMode, error) {
	c, err := m.commit(commit)
	if err != nil {
		return filemode.Empty, err
	}
	if path == "." {
		return filemode.Dir, nil
	}
	tree, err := object.GetTree(m.store, c.TreeHash)
	if err != nil {
		return filemode.Empty, fmt.Errorf("%w: tree %s: %w", errDamaged, c.TreeHash, err)
	}
	entry, err := tree.FindEntry(path)
	if err != nil {
		return filemode.Empty, nil //nolint:nilerr // there is nothing at the path
	}
	return entry.Mode, nil
}
