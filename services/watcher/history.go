// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/plumbline-dev/plumbline/events"
)

// commit reads a commit; a tag object in its place is followed.
func (m *mirror) commit(id plumbing.Hash) (*object.Commit, error) {
	for range 8 {
		c, err := object.GetCommit(m.store, id)
		if err == nil {
			return c, nil
		}
		tag, tagErr := object.GetTag(m.store, id)
		if tagErr != nil {
			return nil, m.noCommit(id, err)
		}
		id = tag.Target
	}
	return nil, refuse(events.ReasonSourceInvalid, nil, "%s is a tag of tags without end", id)
}

// noCommit is why an object can't be read as a commit: a tag may name a file
// or a folder, which is no damage.
func (m *mirror) noCommit(id plumbing.Hash, err error) error {
	if o, missing := m.store.EncodedObject(plumbing.AnyObject, id); missing == nil && o.Type() != plumbing.CommitObject && o.Type() != plumbing.TagObject {
		return refuse(events.ReasonSourceInvalid, nil, "%s is a %s and no commit", id, o.Type())
	}
	return fmt.Errorf("%w: commit %s: %w", errDamaged, id, err)
}

// isAncestor says whether old is in the history of tip. An old that isn't
// there is in no history.
func (m *mirror) isAncestor(ctx context.Context, old, tip plumbing.Hash) (bool, error) {
	if old == tip {
		return true, nil
	}
	if !m.known(old) {
		return false, nil
	}
	seen := map[plumbing.Hash]bool{tip: true}
	for queue := []plumbing.Hash{tip}; len(queue) > 0; queue = queue[1:] {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		c, err := m.commit(queue[0])
		if err != nil && queue[0] != tip && !m.known(queue[0]) {
			continue // a shallow repository's history ends here
		}
		if err != nil {
			return false, err
		}
		for _, parent := range c.ParentHashes {
			if parent == old {
				return true, nil
			}
			if !seen[parent] {
				seen[parent] = true
				queue = append(queue, parent)
			}
		}
	}
	return false, nil
}
