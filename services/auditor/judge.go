// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// judge examines objects and returns the transitions of their divergences, and
// which objects could not be examined.
//
// Whoever wrote may have read a newer revision, or fleet, than we have: what
// would open a divergence is held against the newest that is known, and that is
// read after it was looked at. Where the log has something new by then, all is
// judged again; where that has no end, the log is about to bring on another pass.
func (a *Auditor) judge(ctx context.Context, app *application, w work, now time.Time) (drafts []events.Draft, failed map[string]bool, err error) {
	for range maxLooks {
		known := app.view
		j := a.round(ctx, app, w, now)
		if errors.Is(j.err, errAnew) {
			return nil, j.failed, j.err
		}
		if a.fleet.withdrawn(app.name) {
			return a.withdraw(ctx, app, now), nil, nil
		}
		if len(j.opens) == 0 {
			return a.transitions(app, j.verdicts, now), j.failed, j.err
		}
		switch err := a.loadAll(ctx, app); {
		case errors.Is(err, errAnew):
			return nil, j.failed, err
		case err != nil:
			for _, key := range j.opens {
				j.fails(key, err)
			}
			return a.transitions(app, j.verdicts, now), j.failed, j.err
		case a.fleet.withdrawn(app.name):
			return a.withdraw(ctx, app, now), nil, nil
		case known.same(app.view):
			return a.transitions(app, j.verdicts, now), j.failed, j.err
		}
	}
	app.wakeBy(now.Add(retryAfter))
	return nil, nil, nil
}

// judged is what one look at some objects came to.
type judged struct {
	verdicts map[string]Verdict
	opens    []string // of which a divergence would be told that nobody knows of
	failed   map[string]bool
	err      error // the last of those that failed
}

func (j *judged) fails(key string, err error) {
	delete(j.verdicts, key)
	j.failed[key], j.err = true, err
}

// round examines objects once.
func (a *Auditor) round(ctx context.Context, app *application, w work, now time.Time) judged {
	j := judged{verdicts: map[string]Verdict{}, failed: map[string]bool{}}
	informed := false
	for _, key := range app.objects(w) {
		var v Verdict
		var problem error
		if !informed && a.ahead(app, key, now) {
			informed = true
			if problem = a.loadAll(ctx, app); problem == nil && a.fleet.withdrawn(app.name) {
				return j
			}
		}
		if problem == nil {
			v, problem = a.examine(ctx, app, key, w, now)
		}
		if errors.Is(problem, errAnew) {
			j.err = problem
			return j
		}
		if problem != nil {
			j.fails(key, problem)
			continue
		}
		app.inStep[key] = v.State == Same && v.Digest == app.targets[key].Digest
		if j.verdicts[key] = v; a.opens(app, key, v) {
			j.opens = append(j.opens, key)
		}
	}
	return j
}

func (a *Auditor) opens(app *application, key string, v Verdict) bool {
	return v.State == Differs && app.ledger.known[Key(a.cfg.Cluster, app.name, key)].Phase == Closed
}
