// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"maps"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// deny leaves commits out that came to nothing together: all but the one that
// was left out longest ago, so that each has its turn alone.
func (p *pass) deny(commits []plumbing.Hash) {
	slices.SortFunc(commits, func(a, b plumbing.Hash) int { return p.denials[a].Compare(p.denials[b]) })
	if len(commits) > 1 {
		commits = commits[1:]
	}
	for _, commit := range commits {
		p.denials[commit] = time.Now()
	}
}

// unlisted says that a target has to be asked for by an id that the server
// doesn't list.
func (p *pass) unlisted(ref string, t target) bool {
	return plumbing.IsHash(ref) && t.ask == t.commit && !p.mirror.known(t.commit) &&
		!slices.Contains(slices.Collect(maps.Values(p.listing.refs)), t.ask)
}

// denialPause is how long a poll doesn't ask again for a commit that the
// server did not give out.
const denialPause = time.Minute

// denied says that the server did not give a commit out in this look, or, for
// a poll, a short time ago.
func (p *pass) denied(commit plumbing.Hash) bool {
	at, ok := p.denials[commit]
	return ok && (!at.Before(p.began) || p.trigger == byPoll && time.Since(at) < denialPause)
}
