// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/plumbline-dev/plumbline/internal/failpoint"
)

// failpointFaults kill a service at a named point, as internal/failpoint has
// them: the first time that it comes by, or one of the next.
var failpointFaults = []Fault{
	killedAt("F1", "watcher", failpoint.WatcherBeforeFetch, 2, "before it fetches", nil),
	killedAt("F1", "watcher", failpoint.WatcherMidFetch, 2, "with a pack on disk that is no part of its mirror yet", nil),
	killedAt("F1", "watcher", failpoint.WatcherBeforePublish, 3, "between source and revision", nil),
	killedAt("F1", "watcher", failpoint.WatcherAfterPublish, 3, "after a revision is stored, before it knows", nil),
	killedAt("F2", "renderer", failpoint.RendererOnReceipt, 3, "when a revision has come", nil),
	killedAt("F2", "renderer", failpoint.RendererMidRender, 3, "while a child renders", nil),
	killedAt("F2", "renderer", failpoint.RendererAfterBundle, 3, "between bundle and event", nil),
	killedAt("F2", "renderer", failpoint.BusAfterPublish, 3, "between event and acknowledgement", nil),
	killedAt("F3", "applier", failpoint.ApplierBeforeWiden, 3, "before it raises the fence", nil),
	killedAt("F3", "applier", failpoint.ApplierBeforeApply, 3, "between fence and first object", nil),
	killedAt("F3", "applier", failpoint.ApplierAfterObject, 6, "after the k-th object", nil),
	killedAt("F3", "applier", failpoint.ApplierBeforePrune, 3, "between applying and pruning", (*Script).shrinks),
	killedAt("F3", "applier", failpoint.ApplierAfterPrune, 3, "in the middle of pruning", (*Script).shrinks),
	killedAt("F3", "applier", failpoint.ApplierBeforeNarrow, 3, "before the inventory says what was done", nil),
	killedAt("F3", "applier", failpoint.BusAfterPublish, 3, "between outcome and acknowledgement", nil),
	killedAt("F4", "auditor", failpoint.AuditorAfterDetect, 2, "when it has found a divergence, and told nobody", (*Script).edits),
	killedAt("F4", "auditor", failpoint.BusAfterPublish, 2, "when it has told of a divergence, before it knows", (*Script).edits),
	killedAt("F4", "notifier", failpoint.NotifierAfterPost, 2, "when Slack has taken a message, and no event says so", (*Script).alarms),
}

// killedAt is a kind that kills a service at a point, the most-th time that it
// comes by at the latest.
func killedAt(row, service string, p failpoint.Point, most int, about string, shape func(*Script)) Fault {
	name := "failpoint-" + string(p)
	if p == failpoint.BusAfterPublish {
		name += "-" + service
	}
	return Fault{
		Row: row, Name: name, About: "the " + service + " killed " + about, Weight: 2,
		Hold: Span{time.Second, 3 * time.Second}, Needs: NeedFailpoints, Shape: shape,
		Inject: func(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
			return w.breakAt(service, fmt.Sprintf("%s=kill@%d", p, 1+rng.IntN(most)))
		},
	}
}

// reachWithin is how long a service is given to come by its point once the
// steps are played.
const reachWithin = 2 * time.Second

// breakAt starts a service again so that it breaks by a rule. Lifted, it is
// started once more without; one that hasn't come by its point until then is
// killed where it is.
func (w *World) breakAt(service, rule string) (Lift, error) {
	p := w.Process(service)
	if err := p.Kill(); err != nil {
		return nil, err
	}
	p.Arm(rule)
	if err := p.Start(); err != nil {
		return nil, err
	}
	return func(context.Context) error {
		select {
		case <-p.Exited():
			w.Note("the " + service + " was killed by " + rule)
		case <-time.After(reachWithin):
			w.Missed("the " + service + " did not come by " + rule)
		}
		if err := p.Kill(); err != nil {
			return err
		}
		p.Arm()
		return p.Start()
	}, nil
}

// shrinks removes objects from applications, fewer than a guard would hold.
func (s *Script) shrinks() {
	for range 4 {
		if app, r, ok := s.pick(); ok {
			s.Shrink(app, r)
		}
	}
}

// edits writes into the cluster by hand.
func (s *Script) edits() {
	for range 4 {
		if app, r, ok := s.pick(); ok {
			s.Edit(app, r)
		}
	}
}

// alarms makes commits that people are told of.
func (s *Script) alarms() {
	for range 2 {
		if app, r, ok := s.pick(); ok {
			s.Break(app, r, BrokenSyntax)
		}
	}
}
