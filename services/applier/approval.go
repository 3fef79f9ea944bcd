// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// approve lets go of what is held under a digest: a prune, or a withdrawal.
func (a *applier) approve(ctx context.Context, in events.Event, p *events.ApprovalGiven) ([]events.Draft, error) {
	app := a.application(in.Application)
	inv, found := a.inventories.get(app.name)
	if !found {
		return nil, nil
	}
	f, err := a.learnFleet(ctx)
	if err != nil {
		return nil, err
	}
	if f != nil && !f.has(app.name) {
		return a.withdraw(ctx, app, p.Hold)
	}
	e, err := a.atFence(ctx, app, inv)
	if errors.Is(err, bus.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := a.newTask(app, e, causeApproval)
	t.hold = p.Hold
	return a.converge(ctx, t)
}
