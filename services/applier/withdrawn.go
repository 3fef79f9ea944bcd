// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// finish writes down that a withdrawal was carried out and what is to be said
// of it. The inventory goes only when that is said: whoever dies in between,
// the next one finds what is left to do.
func (a *applier) finish(ctx context.Context, inv Inventory, said *events.ApplicationWithdrawn) (Inventory, error) {
	log, err := a.bus.Log(ctx)
	if err != nil {
		return inv, err
	}
	last, err := a.lastWithdrawn(ctx, inv.Application)
	if err != nil {
		return inv, err
	}
	inv.Kept.Finished = &Finished{Said: said, Epoch: log.Epoch, After: last.Stored}
	inv.Entries = nil
	return a.inventories.write(ctx, inv)
}

// sayWithdrawn says that an application was withdrawn, and once that is in the
// log removes its inventory, in the application's queue.
func (a *applier) sayWithdrawn(ctx context.Context, app *application, f *fleetList, inv Inventory) ([]events.Draft, error) {
	said, err := a.saidWithdrawn(ctx, inv)
	if err != nil {
		return nil, err
	}
	if !said {
		if app.telling { // it was meant to be in the log by now
			a.withdrawAgain(app, f)
		} else {
			a.consumer.Observe(app.name, a.observation("withdrawn", app.name, f.event), func(ctx context.Context) ([]events.Draft, error) {
				return a.withdraw(ctx, app, "")
			})
		}
		app.telling = true
		p := *inv.Kept.Finished.Said
		return []events.Draft{a.withdrawn(ctx, app, f, &p)}, nil
	}
	if err := a.inventories.remove(ctx, inv); err != nil {
		return nil, err
	}
	a.leave(app)
	return nil, nil
}

// leave forgets an application.
func (a *applier) leave(app *application) {
	app.mu.Lock()
	a.claimants.change(app.name, app.claims.keys, nil)
	app.claims = claims{}
	app.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.applications, app.name)
	delete(a.waiting, app.name)
}

// saidWithdrawn says whether the end of a withdrawal is in the log.
func (a *applier) saidWithdrawn(ctx context.Context, inv Inventory) (bool, error) {
	log, err := a.bus.Log(ctx)
	if err != nil {
		return false, err
	}
	last, err := a.lastWithdrawn(ctx, inv.Application)
	if err != nil {
		return false, err
	}
	p, ok := last.Data.(*events.ApplicationWithdrawn)
	f := inv.Kept.Finished
	return ok && p.Outcome != events.ActionHeld && (last.Stored > f.After || log.Epoch != f.Epoch), nil
}

// lastWithdrawn is the last application.withdrawn of an application; without
// one, an event without data.
func (a *applier) lastWithdrawn(ctx context.Context, application string) (events.Event, error) {
	last, err := a.bus.Last(ctx, typeOf(&events.ApplicationWithdrawn{}).Subject(a.address(application)))
	if errors.Is(err, bus.ErrNone) {
		return events.Event{}, nil
	}
	return last, err
}
