// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// fight is how often one object was healed of late. Someone who keeps writing
// what Git declares otherwise is not outrun: from the fourth time within
// fightWindow on, healing waits, each time longer. An ignore rule, or removing
// the other writer, ends it.
type fight struct {
	heals []time.Time
	of    time.Time // since when the divergence was that was healed last
	until time.Time // when it may be healed again
}

const (
	fightWindow = 10 * time.Minute
	fightLimit  = 3
	fightFirst  = 2 * time.Second
	fightFactor = 3
	fightMost   = 300 * time.Second
)

// heal notes that an object is to be healed, and when that may be. A divergence
// that is told of again, since it persists, is no other: nobody has written the
// object meanwhile.
func (f *fight) heal(now, since time.Time) {
	if len(f.heals) > 0 && f.of.Equal(since) {
		return
	}
	f.of = since
	kept := f.heals[:0]
	for _, t := range f.heals {
		if now.Sub(t) < fightWindow {
			kept = append(kept, t)
		}
	}
	f.heals = append(kept, now)
	f.until = now
	if over := len(f.heals) - fightLimit; over > 0 {
		delay := fightFirst
		for range over - 1 {
			delay = min(delay*fightFactor, fightMost)
		}
		f.until = now.Add(delay)
	}
}

// heal answers a divergence: the object is written again as the fence's bundle
// declares it, if the application's policy says so. A divergence of an older
// revision than the fence's is dropped: that revision has written the object
// since, or will.
func (a *applier) heal(ctx context.Context, in events.Event, d *events.Divergence) ([]events.Draft, error) {
	app := a.application(in.Application)
	inv, found := a.inventories.get(app.name)
	if d.Object == nil || !found || in.Epoch != inv.Fence.Epoch || in.Sequence < inv.Fence.Sequence && d.Digest != inv.Fence.Digest {
		return nil, nil
	}
	e, err := a.atFence(ctx, app, inv)
	if errors.Is(err, bus.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := manifestsOf(e)
	if !m.Declaration.Audit.Heal || m.Declaration.Converge.Mode != events.ModeAuto {
		return nil, nil
	}
	key := d.Object.Key()
	app.forgotten[key] = true
	if m.Digest != inv.Fence.Digest {
		return nil, nil // a newer revision is on its way: it writes the object
	}
	f := app.fights[key]
	if f == nil {
		f = &fight{}
		app.fights[key] = f
	}
	f.heal(bus.Now(ctx), d.Since)
	if wait := f.until.Sub(bus.Now(ctx)); wait > 0 {
		a.log.WarnContext(ctx, "someone keeps writing an object that Git declares: healing waits", "application", app.name,
			"object", d.Object.String(), "again", wait.String(), "writer", writer(d))
	}
	t := a.newTask(app, e, causeHeal)
	t.trace = in.Traceparent // the heal is of the divergence, and the divergence of the commit
	return a.converge(ctx, t)
}

func writer(d *events.Divergence) string {
	if d.Writer == nil {
		return "not recorded"
	}
	return d.Writer.Manager
}

// atFence is the event whose bundle the fence stands at, as long as it is
// known; else the newest.
func (a *applier) atFence(ctx context.Context, app *application, inv Inventory) (events.Event, error) {
	if app.current != nil && manifestsOf(*app.current).Digest == inv.Fence.Digest {
		return *app.current, nil
	}
	return a.level(ctx, app.name)
}
