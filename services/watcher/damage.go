// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"errors"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/events"
)

// damage tells a mirror that was damaged from a repository that is: what is
// wrong again in a mirror that was just rebuilt came so from the server, and
// no further rebuilding mends it.
type damage struct {
	rebuilt bool // the mirror was rebuilt for the look that is under way
	at      time.Time
	seen    bool // something was found damaged in this look all the same
	// spoilt are the commits and trees that can't be read although the mirror
	// was rebuilt, and when that was seen.
	spoilt map[plumbing.Hash]time.Time
}

// spoiltFor is how long a spoilt object is not looked at again: each time
// costs a clone.
const spoiltFor = 10 * time.Minute

// next ends a look, which failed for a damage or not. It is true where the
// mirror is to be rebuilt.
func (d *damage) next(failed bool) (rebuild bool) {
	rebuild = failed && (!d.rebuilt || time.Since(d.at) > spoiltFor)
	if rebuild {
		d.at = time.Now()
	}
	d.rebuilt = rebuild || d.rebuilt && (d.seen || failed)
	d.seen = false
	return rebuild
}

// ofServer says that err is a damage of which the server is the cause.
func (d *damage) ofServer(err error) bool {
	if !d.rebuilt || !errors.Is(err, errDamaged) {
		return false
	}
	d.seen = true
	return true
}

// spoil notes what can't be read.
func (d *damage) spoil(id plumbing.Hash) {
	if d.spoilt == nil {
		d.spoilt = map[plumbing.Hash]time.Time{}
	}
	d.spoilt[id] = time.Now()
}

func (d *damage) isSpoilt(id plumbing.Hash) bool {
	seen, ok := d.spoilt[id]
	return ok && time.Since(seen) < spoiltFor
}

// unmendable is err, or, for a damage, what is said of it to people.
func unmendable(err error) error {
	if !errors.Is(err, errDamaged) {
		return err
	}
	return refuse(events.ReasonSourceInvalid, err, "%s", malformed)
}

const malformed = "objects that it leads to are missing or malformed in what the server sends; run git fsck on the server, and push what is missing"
