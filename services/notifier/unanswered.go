// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slack-go/slack"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fault"
	"github.com/plumbline-dev/plumbline/internal/incident"
)

// unansweredLimit is how often a message that alone gets no answer is sent
// before it is given up: Slack may have taken it each time.
const unansweredLimit = 3

// unanswered is what became of a message that Slack gave no answer of its own to,
// although it is there.
type unanswered struct{ err error }

func (u *unanswered) Error() string { return "Slack is there, and doesn't answer: " + u.err.Error() }
func (u *unanswered) Unwrap() error { return u.err }

// attempts are those at one message that got no answer.
type attempts struct {
	says  string // what it was to say; another thing begins anew
	count int
}

// blame says what an error of a call means. An outage pauses all alerts, so
// nothing is one on the word of a single message: Slack is asked whether it is
// there. If so, that no answer came is the message's own trouble.
func (n *notifier) blame(ctx context.Context, err error) error {
	var r *refusal
	switch {
	case err == nil, limited(err), errors.As(err, &r), errors.Is(err, errGone):
		return err
	case ctx.Err() != nil: // the notifier ends
		return fault.Outage("Slack", err)
	}
	ctx, cancel := context.WithTimeout(ctx, n.timing.request)
	defer cancel()
	well := n.slack.well(ctx)
	switch {
	case errors.As(well, &r) && r.all:
		return r
	case well == nil, limited(well), r != nil:
		return &unanswered{err}
	}
	return fault.Outage("Slack", err)
}

// giveUp is why a message is given up, or else why it isn't told yet. One that
// alone gets no answer is sent again by itself, ever later, while others are told,
// and given up after a few times.
func (n *notifier) giveUp(s incident.Scope, says string, err error) (*refusal, error) {
	var r *refusal
	var u *unanswered
	if errors.As(err, &r) {
		return r, nil
	}
	if !errors.As(err, &u) {
		return nil, err
	}
	a := n.attempts[s]
	if a.says != says {
		a = attempts{says: says}
	}
	a.count++
	n.attempts[s] = a
	if a.count < unansweredLimit {
		return nil, fault.RetryAfter(u, n.timing.again<<(a.count-1))
	}
	if a.count == unansweredLimit && s != digestScope {
		n.silent[s] = true
	}
	return &refusal{reason: events.ReasonAlertRefused, message: fmt.Sprintf(
		"Slack is there, but gives this message no answer (%s): 'plumbline alerts' says what it is about. It is tried again every 10 minutes, and at 'plumbline sync'.", answer(u))}, nil
}

// answer is what came instead of an answer, without what somebody else wrote.
func answer(u *unanswered) string {
	var status slack.StatusCodeError
	var said slack.SlackErrorResponse
	switch {
	case errors.As(u.err, &status):
		return fmt.Sprintf("HTTP status %d", status.Code)
	case errors.As(u.err, &said): // one of those that classify knows
		return said.Err
	case errors.Is(u.err, context.DeadlineExceeded):
		return "none came in time"
	}
	return "what came is none of Slack's"
}

// takes notes that Slack takes messages. Those that were given up since it took the
// last may have met a Slack that took none, and have one more attempt.
func (n *notifier) takes() {
	if len(n.silent) == 0 {
		return
	}
	var scopes []incident.Scope
	for s := range n.silent {
		scopes = append(scopes, s)
		delete(n.refused, s)
	}
	clear(n.silent)
	n.look(events.Cause{ID: fmt.Sprintf("notifier/takes/%d", time.Now().UnixNano())}, scopes)
}
