// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/revlist"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// carry brings the commits that are kept, with all that they reach, into a clone
// that replaces the mirror: at no ref any more, none of them came with it.
func (m *mirror) carry(clone *filesystem.Storage) error {
	var kept []plumbing.Hash
	for _, commit := range slices.SortedFunc(maps.Keys(m.keep), func(a, b plumbing.Hash) int { return slices.Compare(a[:], b[:]) }) {
		if m.known(commit) && clone.HasEncodedObject(commit) != nil {
			kept = append(kept, commit)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	all, err := revlist.Objects(m.store, kept, nil)
	if err != nil {
		return fmt.Errorf("%w: what the commits reach that are kept: %w", errDamaged, err)
	}
	all = slices.DeleteFunc(all, func(id plumbing.Hash) bool { return clone.HasEncodedObject(id) == nil })
	w, err := clone.PackfileWriter()
	if err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	_, err = packfile.NewEncoder(w, m.store, false).Encode(all, 0)
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("carry the commits that are kept: %w", err)
	}
	return nil
}
