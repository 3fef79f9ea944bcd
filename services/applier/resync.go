// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// resyncOnTimer reads the level again from time to time.
func (a *applier) resyncOnTimer(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			a.resync(events.Event{})
		}
	}
}

// resync reads the level again: the fleet's list, and for each application
// that it names, or for the one that is asked for, the newest bundle. All of
// it goes through the same queues as what events bring.
func (a *applier) resync(asked events.Event) {
	if asked.Application != "" {
		a.resyncAnew(asked.Application, asked)
		return
	}
	a.consumer.Observe(".resync", a.observation("fleet", "", asked), func(ctx context.Context) ([]events.Draft, error) {
		f, err := a.learnFleet(ctx)
		if err != nil || f == nil {
			return nil, err
		}
		for name := range f.entries {
			a.resyncAnew(name, asked)
		}
		a.withdrawAll(f)
		return nil, nil
	})
}

// resyncAnew is resyncOne with what was said of the application read again too.
func (a *applier) resyncAnew(name string, asked events.Event) {
	a.application(name).anew.Store(true)
	a.resyncOne(name, asked)
}

func (a *applier) resyncOne(name string, asked events.Event) {
	app := a.application(name)
	if !app.asked.CompareAndSwap(false, true) {
		return
	}
	a.consumer.Observe(name, a.observation("resync", name, asked), func(ctx context.Context) ([]events.Draft, error) {
		app.asked.Store(false)
		if app.anew.Swap(false) {
			app.logged = logged{}
		}
		return a.resyncApplication(ctx, app, causeResync)
	})
}

// resyncApplication converges an application to its newest bundle, as far as
// there is one.
func (a *applier) resyncApplication(ctx context.Context, app *application, cause string) ([]events.Draft, error) {
	e, err := a.level(ctx, app.name)
	if errors.Is(err, bus.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return a.converge(ctx, a.newTask(app, e, cause))
}
