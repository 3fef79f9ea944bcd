// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// headStart is how much later those applications of which a commit changes
// nothing are told of it than those that it changes, or that are declared anew:
// about what it takes until a change is in its cluster. Nobody waits for the
// others, and told at once they would be in the way of the changed ones at every
// service.
const headStart = 100 * time.Millisecond

// longLook is how long a look publishes while another one is due: many new
// applications must not keep a change of one that is known from being seen.
const longLook = time.Second

// atOnce is how many revisions are under way to the log at once: enough that none
// waits for the answer to another, and few enough that who must wait for them, as
// a fleet that is put in force, waits for little.
const atOnce = 64

// due is an application with a revision to publish.
type due struct {
	application string
	changed     bool   // see [finding]
	told        uint64 // stored sequence of its last revision; 0: there is none
}

// due is what decides when a finding's turn comes. What was never seen before
// has nobody waiting for a change of it.
func (f finding) due() due {
	d := due{application: f.declaration.Application, changed: f.changed && f.verdict.previous != ""}
	switch {
	case f.rejected: // most likely it is told of nothing, and would come first for ever
		d.told = math.MaxUint64
	case f.last.published != nil:
		d.told = f.last.stored
	}
	return d
}

// inTurns puts the applications that changed first, then those that have been told
// of nothing for longest, in parts of at most size, none of which has both changed
// ones and others.
func inTurns[T any](list []T, size int, of func(T) due) (parts [][]T) {
	slices.SortStableFunc(list, func(a, b T) int {
		x, y := of(a), of(b)
		if x.changed != y.changed {
			if x.changed {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(x.told, y.told), cmp.Compare(x.application, y.application))
	})
	rest := slices.IndexFunc(list, func(one T) bool { return !of(one).changed })
	if rest < 0 {
		rest = len(list)
	}
	return slices.AppendSeq(slices.Collect(slices.Chunk(list[:rest], size)), slices.Chunk(list[rest:], size))
}

// publish has what a look has found published by act, which is [pass.act], in
// turns. It reports whether another pass is to follow. Where a look is due it leaves
// parts to that, which finds them, what has changed since, and what another watcher
// was first with: of what changed, once it has taken long; of the others, which the
// newer commit alone is told to then, all but one part, so that each has its turn
// however fast the looks follow.
func (p *pass) publish(ctx context.Context, found []finding, act func(context.Context, []finding) (bool, error)) (again bool, err error) {
	begun := time.Now()
	var before []finding
	for _, part := range inTurns(found, atOnce, finding.due) {
		if before != nil && !part[0].due().changed {
			if err := p.giveWay(ctx, before); err != nil {
				return false, err
			}
		}
		others := before != nil && !before[0].due().changed // some have been told
		if len(p.wake) > 0 && (others || time.Since(begun) > longLook) {
			return false, nil
		}
		conflict, err := act(ctx, part)
		if err != nil {
			return false, err
		}
		again = again || conflict
		before = part
	}
	return again, nil
}

// giveWay waits after a part. Those that changed have their head start. Of the
// others it waits until the renderer has said what they came to, for as long at
// most: a change that comes next would wait behind all that are on their way. A look
// that is due ends the wait, as it may be of one.
func (p *pass) giveWay(ctx context.Context, before []finding) error {
	changed := before[0].due().changed
	if changed {
		defer p.timeHeadStart(time.Now())
	}
	timer := time.NewTimer(headStart)
	defer timer.Stop()
	for {
		said := p.hub.outcomes.next()
		if !changed && !p.awaits(before) {
			return nil
		}
		select {
		case <-said:
		case <-timer.C:
			return nil
		case trigger := <-p.wake:
			p.look(trigger) // it is still due
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// awaits says that the renderer hasn't said of some what they came to.
func (p *pass) awaits(part []finding) bool {
	return slices.ContainsFunc(part, func(f finding) bool {
		last, ok := p.last[f.subject()]
		if !ok || last.published == nil {
			return false
		}
		at := events.Order{Epoch: last.epoch, Sequence: last.stored}
		return p.hub.outcomes.get(f.subject(), last.epoch).of(at) == pending
	})
}
