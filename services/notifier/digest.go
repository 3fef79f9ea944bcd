// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/incident"
)

// takesAlone reports whether something brief is told by itself now.
func (n *notifier) takesAlone() bool {
	n.recent = within(n.recent, time.Now(), n.timing.window)
	return alone(len(n.briefs), n.recent, n.timing.few)
}

// collect keeps something brief for the digest, which comes a window after the
// first that waits for it. What waits when the notifier ends is found again in
// the level.
func (n *notifier) collect(s incident.Scope) {
	n.briefs[s] = true
	if n.digest != nil {
		return
	}
	n.digest = time.AfterFunc(n.timing.window, func() {
		n.consumer.Observe(queue, events.Cause{ID: "digest"}, n.tellDigest)
	})
}

// tellDigest tells of all that waits, in one message.
func (n *notifier) tellDigest(ctx context.Context) ([]events.Draft, error) {
	if err := n.turn(ctx); err != nil {
		return nil, err
	}
	for {
		if waited, err := n.wait(ctx, time.Time{}); err != nil {
			return nil, err
		} else if waited {
			continue
		}
		all, others, drafts, err := n.collected(ctx)
		if err != nil {
			return nil, err
		}
		if len(all) > 0 {
			told, err := n.sendDigest(ctx, all)
			if limited(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			drafts = append(drafts, told...)
		}
		clear(n.briefs)
		n.digest = nil
		n.look(events.Cause{ID: "digest/others"}, others)
		return drafts, nil
	}
}

// collected are the incidents that belong into the digest, the oldest first,
// the scopes that are something else by now, and what was told already and is
// not in the log.
func (n *notifier) collected(ctx context.Context) (all []state, others []incident.Scope, drafts []events.Draft, err error) {
	now := time.Now()
	for s := range n.briefs {
		found, err := n.observe(ctx, s)
		if err != nil {
			return nil, nil, nil, err
		}
		switch do := decide(found, now); {
		case do == brief && n.refusal(s, found) == nil:
			all = append(all, found)
		case do == brief:
			drafts = append(drafts, n.fail(ctx, found, n.refusal(s, found))...)
		case do == nothing && found.unrecorded:
			drafts = append(drafts, n.delivered(found, *found.told))
		case do != nothing:
			others = append(others, s)
		}
	}
	slices.SortFunc(all, byPlace)
	return all, others, drafts, nil
}

func (n *notifier) sendDigest(ctx context.Context, all []state) ([]events.Draft, error) {
	sent, err := n.post(ctx, events.AlertDelivered{Channel: n.cfg.Channel}, n.digestOf(all), "digest")
	r, err := n.giveUp(digestScope, saysAll(all), err)
	if err != nil {
		return nil, err
	}
	if r != nil && r.all {
		n.closed = r
	}
	delete(n.attempts, digestScope)
	var drafts []events.Draft
	for _, found := range all {
		if r != nil {
			n.refused[found.Scope] = found.Says()
			drafts = append(drafts, n.fail(ctx, found, r)...)
			continue
		}
		alert := sent
		alert.Event, alert.Place, alert.Says, alert.Since = found.EventID(), found.Place(), found.Says(), found.Since
		alert.Resolved, alert.Digest = true, true
		n.memory[found.Scope] = memory{alert, found.last}
		drafts = append(drafts, n.delivered(found, alert))
	}
	return drafts, nil
}

// digestScope is no incident's.
var digestScope incident.Scope

// saysAll tells one digest from another.
func saysAll(all []state) string {
	var says strings.Builder
	for _, found := range all {
		says.WriteString(found.EventID() + " ")
	}
	return says.String()
}
