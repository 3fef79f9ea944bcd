// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"cmp"
	"context"
	"slices"
	"time"
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
	changed     bool // see [finding]
}

// due is what decides when a finding's turn comes. What was never seen before
// has nobody waiting for a change of it.
func (f finding) due() due {
	return due{f.declaration.Application, f.changed && f.verdict.previous != ""}
}

// inTurns puts the applications that changed first, then by name, in parts
// of at most size, none of which has both changed ones and others.
func inTurns[T any](list []T, size int, of func(T) due) (parts [][]T) {
	slices.SortStableFunc(list, func(a, b T) int {
		x, y := of(a), of(b)
		if x.changed != y.changed {
			if x.changed {
				return -1
			}
			return 1
		}
		return cmp.Compare(x.application, y.application)
	})
	rest := slices.IndexFunc(list, func(one T) bool { return !of(one).changed })
	if rest < 0 {
		rest = len(list)
	}
	return slices.AppendSeq(slices.Collect(slices.Chunk(list[:rest], size)), slices.Chunk(list[rest:], size))
}

// publish publishes what a look has found, in turns. It reports whether another
// look is to follow.
func (p *pass) publish(ctx context.Context, found []finding) (again bool, err error) {
	begun := time.Now()
	ahead := false // the part before was of changed ones
	for _, part := range inTurns(found, atOnce, finding.due) {
		changed := part[0].due().changed
		if ahead && !changed {
			if err := p.giveWay(ctx, headStart); err != nil {
				return false, err
			}
		}
		ahead = changed
		if time.Since(begun) > longLook && len(p.wake) > 0 {
			return again, nil // the look that is due finds the rest, and what has changed since
		}
		conflict, err := p.act(ctx, part)
		if err != nil {
			return false, err
		}
		again = again || conflict
	}
	return again, nil
}

// giveWay waits for so long, or until another look is due: that may be of a
// change that somebody waits for, too.
func (p *pass) giveWay(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case trigger := <-p.wake:
		p.look(trigger) // it is still due
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
