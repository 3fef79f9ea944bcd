// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/failpoint"
)

// pass judges what w names and returns the transitions that follow. It runs in
// the application's serial queue.
func (a *Auditor) pass(ctx context.Context, app *application, w work, now time.Time) (drafts []events.Draft, err error) {
	defer func() { a.open.set(app.name, app.ledger.open(drafts)) }()
	w.begun = time.Now()
	if err := a.inform(ctx, app, &w, now); err != nil {
		return nil, err
	}
	if a.fleet.withdrawn(app.name) {
		return a.withdraw(ctx, app, now), nil
	}
	if w.all {
		app.wake = time.Time{}
	}
	drafts, failed, err := a.compare(ctx, app, w, now)
	if errors.Is(err, errAnew) {
		return nil, err
	}
	if a.fleet.withdrawn(app.name) {
		return drafts, err // it went meanwhile
	}
	drafts = append(drafts, a.settled(app, now)...)
	if w.all {
		drafts = append(drafts, a.limited(ctx, app, now)...)
	}
	a.wakeAt(app)
	if len(drafts) > 0 {
		if err := failpoint.Hit(failpoint.AuditorAfterDetect); err != nil {
			return nil, err
		}
	}
	if err != nil && len(drafts) > 0 {
		a.again(ctx, app.name, failed, err)
		err = nil
	}
	return drafts, err
}

// inform brings what is known of the application up to date; what is read anew
// is looked at as a whole.
func (a *Auditor) inform(ctx context.Context, app *application, w *work, now time.Time) error {
	if w.load || app.view.last == nil {
		if err := a.load(ctx, app); err != nil {
			return err
		}
		w.load, w.all = true, true
	} else if err := a.derive(ctx, app); err != nil {
		return err
	}
	if err := app.ledger.refresh(ctx, a.conn); err != nil {
		return err
	}
	if err := app.said.load(ctx, a.conn, app.ledger.at); err != nil {
		return err
	}
	if w.load || !a.stalls(app, now) {
		return nil
	}
	w.all = true
	return a.loadAll(ctx, app)
}

// objects is what a pass examines: the objects that are declared, and those that
// were when a divergence of them was opened.
func (app *application) objects(w work) []string {
	var keys []string
	for key := range app.targets {
		if w.all || w.keys[key] {
			keys = append(keys, key)
		}
	}
	if app.manifests != nil || app.view.withdrawn > 0 {
		for _, known := range app.ledger.known {
			o := known.Divergence.Object
			if known.Phase == Closed || o == nil {
				continue
			}
			if _, ok := app.targets[o.Key()]; !ok {
				keys = append(keys, o.Key())
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// errAnew says that the log was replaced while a pass was under way.
var errAnew = errors.New("the log began anew")

// loadAll reads everything that the log tells of the application, but for its
// divergences: those of them that this pass has drafted are not there yet.
func (a *Auditor) loadAll(ctx context.Context, app *application) error {
	if err := a.fleet.load(ctx, a.conn); err != nil {
		return err
	}
	if err := a.load(ctx, app); err != nil {
		return err
	}
	if !app.ledger.loaded {
		return errAnew
	}
	return nil
}

// transitions publishes the next step of the divergence of each object.
func (a *Auditor) transitions(app *application, verdicts map[string]Verdict, now time.Time) (drafts []events.Draft) {
	for _, key := range slices.Sorted(maps.Keys(verdicts)) {
		drafts = append(drafts, a.transition(app, key, verdicts[key], now)...)
	}
	return drafts
}

// transition publishes the next step of the divergence of one object.
func (a *Auditor) transition(app *application, object string, v Verdict, now time.Time) []events.Draft {
	key := Key(a.cfg.Cluster, app.name, object)
	known := app.ledger.known[key]
	t := app.advance(known, v, now)
	app.wakeBy(t.Wake)
	if t.Step == Keep {
		return nil
	}
	fresh := known.Divergence
	if v.State == Differs {
		fresh = app.divergence(key, app.targets[object], v, now)
	}
	return app.step(key, known, fresh, t, now)
}

// step drafts one transition. It leaves the divergence to be read again, and
// wakes the application for what may come next.
func (app *application) step(key string, known Known, fresh events.Divergence, t Transition, now time.Time) []events.Draft {
	var data events.Payload
	var breaks string // the trace of the commit that it breaks
	since := known.Divergence.Since
	switch t.Step {
	case Detect:
		known.Correlation = fmt.Sprintf("divergence/%s/%d", key, now.UnixNano())
		_, _, _, breaks = app.view.revision()
		known.Trace = ""
		data = &events.DivergenceDetected{Divergence: fresh}
	case Persist:
		fresh.Since = since
		data = &events.DivergencePersisted{Divergence: fresh, After: events.Duration(now.Sub(since))}
	case Resolve:
		past := known.Divergence
		past.Message = over(past.Message)
		data = &events.DivergenceResolved{
			Divergence: past, After: events.Duration(max(0, now.Sub(since))), How: t.How, Persisted: known.Phase == Persisted,
		}
	}
	d := app.ledger.draft(key, known, data)
	d.Revision, d.Begins = app.view.order(), breaks
	return []events.Draft{d}
}

// stalls reports whether the newest revision that is known is about to be told
// of as stalled. What it waits for may lie in the log, and wait behind what is
// being worked on, or have been given to another auditor.
func (a *Auditor) stalls(app *application, now time.Time) bool {
	p := app.view.progress()
	p.InPlace = app.standing()
	v, _, _ := stalled(p, now)
	return v.State == Differs && app.ledger.known[Key(a.cfg.Cluster, app.name, "")].Phase == Closed
}

// settled judges the application's newest revision.
func (a *Auditor) settled(app *application, now time.Time) []events.Draft {
	p := app.view.progress()
	p.InPlace = app.standing()
	if p.InPlace && app.manifests != nil {
		app.inPlace = app.manifests.Digest
	}
	v, stage, wake := stalled(p, now)
	app.wakeBy(wake)
	key := Key(a.cfg.Cluster, app.name, "")
	known := app.ledger.known[key]
	t := app.advance(known, v, now)
	app.wakeBy(t.Wake)
	if t.Step == Keep {
		return nil
	}
	fresh := known.Divergence
	if v.State == Differs {
		fresh = app.stall(key, stage, p, now)
	}
	return app.step(key, known, fresh, t, now)
}

// standing reports whether live has every object of the newest bundle.
func (app *application) standing() bool {
	if app.manifests == nil || len(app.targets) == 0 {
		return false
	}
	for key := range app.targets {
		if !app.inStep[key] {
			return false
		}
	}
	return true
}

func (app *application) alertAfter() time.Duration {
	if d := app.view.declaration(); d != nil {
		return d.Audit.AlertAfter.Std()
	}
	// A new life of the log has told of none yet: what is compared is still the
	// bundle of the life before, and so is the declaration.
	if app.manifests != nil {
		return app.manifests.Declaration.Audit.AlertAfter.Std()
	}
	return 0
}

func (app *application) wakeBy(t time.Time) {
	if !t.IsZero() && (app.wake.IsZero() || t.Before(app.wake)) {
		app.wake = t
	}
}
