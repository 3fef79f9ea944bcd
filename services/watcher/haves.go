// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"cmp"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxHaves bounds what a server is told of the mirror. A conversation over a
// pipe is written whole before the answer is read: a server that answers each
// have while it reads (gitprotocol-pack, "Packfile Negotiation") must not fill
// the pipe before it has read the last. 256 answers are less than a quarter of
// the 64 KiB that a pipe holds.
const maxHaves = 256

// haves are the tips that a server is told of, so that it leaves out what they
// reach: all, or the most useful. Which they are is never wrong: what is left
// out costs bytes.
func (m *mirror) haves(l listing) ([]plumbing.Hash, error) {
	tips, err := m.tips()
	if err != nil || len(tips) <= maxHaves {
		return tips, err
	}
	listed := map[plumbing.Hash]bool{}
	for name := range l.refs {
		listed[l.tip(name)] = true
	}
	all := make([]have, 0, len(tips))
	for _, tip := range tips {
		h := have{tip: tip, listed: listed[tip]}
		if c, err := m.commit(tip); err == nil { // else it is a tag of something else, and goes last
			h.when = c.Committer.When
		}
		all = append(all, h)
	}
	return useful(all), nil
}

// have is a tip of the mirror.
type have struct {
	tip    plumbing.Hash
	listed bool      // a ref of the server is still there
	when   time.Time // by its committer; good enough to guess by
}

// useful are at most maxHaves of all: first those that refs moved away from,
// since what is missing most likely follows one of them, and the newest first.
func useful(all []have) []plumbing.Hash {
	slices.SortFunc(all, func(a, b have) int {
		if a.listed != b.listed {
			if b.listed {
				return -1
			}
			return 1
		}
		return cmp.Or(b.when.Compare(a.when), cmp.Compare(a.tip.String(), b.tip.String()))
	})
	tips := make([]plumbing.Hash, 0, maxHaves)
	for _, h := range all[:min(len(all), maxHaves)] {
		tips = append(tips, h.tip)
	}
	return tips
}
