// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// withdraw resolves what is open of an application that is no longer declared.
func (a *Auditor) withdraw(ctx context.Context, app *application, now time.Time) []events.Draft {
	a.undeclare(app)
	app.wake = time.Time{}
	a.wakeAt(app)
	drafts := a.limited(ctx, app, now)
	for key, known := range app.ledger.known {
		if known.Phase != Closed {
			drafts = append(drafts, app.step(key, known, known.Divergence, Transition{Step: Resolve, How: Withdrawn}, now)...)
		}
	}
	return drafts
}

// undeclare forgets what Git declared of an application.
func (a *Auditor) undeclare(app *application) {
	a.cache.claim(app.name, app.targets, nil)
	a.readers.need(app.name, nil)
	app.manifests, app.targets, app.inStep, app.inPlace = nil, nil, map[string]bool{}, ""
}

// deriveWithdrawn forgets, once for each withdrawal, what was declared and
// applied before it.
func (a *Auditor) deriveWithdrawn(app *application) {
	at := events.Order{Epoch: app.view.epoch, Sequence: app.view.withdrawn}
	if at.Sequence == 0 || at == app.withdrawn {
		return
	}
	a.undeclare(app)
	clear(app.before)
	clear(app.learnt)
	clear(app.wrote)
	clear(app.bundles)
	app.applied, app.withdrawn = appliedFrom{}, at
}

// advance is [advance] for a divergence of the application: one that was open
// when the application was withdrawn ended there, whatever was declared since.
func (app *application) advance(known Known, v Verdict, now time.Time) Transition {
	if known.Phase != Closed && known.Last < app.view.withdrawn {
		return Transition{Step: Resolve, How: Withdrawn, Wake: now}
	}
	return advance(known, v, app.alertAfter(), now)
}
