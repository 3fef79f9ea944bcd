// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"fmt"
	"slices"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// logged is what the log holds of what was said of an application: the last
// event of each kind that recall needs, by verb, without its lists of objects. It
// was read from the log, and has followed since what this process has published.
//
// It counts for as long as nobody else can have said anything: the connection
// and the log are the same, the inventory was written by nobody else, and no
// input comes again that another process may have worked on. In all other cases,
// after any failure, and whenever everything is looked at again, the log is asked.
// See docs/adr/0014.
type logged struct {
	last map[string]events.Event // nil: not known
	life bus.Life
	// inventory is the resourceVersion of the application's inventory after
	// its last work.
	inventory string
}

// recalledTypes are what recall needs the last event of.
var recalledTypes = []*events.Type{
	typeOf(&events.ConvergenceApplied{}), typeOf(&events.ConvergenceCompleted{}), typeOf(&events.ConvergenceFailed{}),
	typeOf(&events.ConvergenceDegraded{}), typeOf(&events.ConvergenceHeld{}),
}

// counts says whether l is what the log holds, as far as can be known without
// asking it.
func (l logged) counts(life bus.Life, inv Inventory) bool {
	return l.last != nil && l.life == life && l.inventory == inv.ResourceVersion
}

// take follows an event that was stored. One that is no longer the last of its
// kind changes nothing.
func (l logged) take(e events.Event) {
	if was := l.last[e.Type.Verb]; was.Type == nil || was.Stored < e.Stored {
		l.last[e.Type.Verb] = slim(e)
	}
}

// outcomeVerbs are what is said of what a revision has come to.
var outcomeVerbs = []string{"applied", "failed", "held"}

// tells says whether the log holds an outcome of a revision.
func (l logged) tells(of events.Order) bool {
	for _, verb := range outcomeVerbs {
		if e := l.last[verb]; e.Type != nil && order(e) == of {
			return true
		}
	}
	return false
}

// keeps says of a revision that changes nothing of its bundle that this is what is
// applied, and that nothing else was said since.
func (l logged) keeps(of events.Event) bool {
	applied := l.last["applied"]
	p, ok := applied.Data.(*events.ConvergenceApplied)
	keeps := ok && of.Type == typeUnchanged && of.Epoch == applied.Epoch && p.Digest == manifestsOf(of).Digest
	for _, verb := range outcomeVerbs {
		e := l.last[verb]
		keeps = keeps && (e.Epoch != of.Epoch || e.Sequence <= applied.Sequence)
	}
	return keeps
}

// told says whether the log holds an outcome of the task's revision. Of one that
// changes nothing that is the outcome of the one before: what is applied of that
// one stays so, and nothing more is said. One that the fence moved for, as for
// another declaration, or after another bundle, has an outcome of its own.
func (t *task) told() bool {
	return t.app.logged.tells(order(t.event)) || !t.moved && t.app.logged.keeps(t.event)
}

// appliedAt is where in the log it was told last that something is applied.
func (l logged) appliedAt() uint64 { return l.last["applied"].Stored }

// slim is e, as the log has it, without lists that nobody recalls.
func slim(e events.Event) events.Event {
	e.Time = e.Time.Round(0).UTC()
	switch p := e.Data.(type) {
	case *events.ConvergenceApplied:
		q := *p
		q.Objects = events.AppliedObjects{}
		e.Data = &q
	case *events.ConvergenceDegraded:
		q := *p
		q.Failures = nil
		e.Data = &q
	case *events.ConvergenceHeld:
		q := *p
		q.Objects = events.AppliedObjects{}
		e.Data = &q
	}
	return e
}

// read makes sure that it is known what the log holds of what was said of a
// task's application, and says whether it had to be asked.
func (a *applier) read(ctx context.Context, t *task, inv Inventory) (asked bool, err error) {
	life, err := a.bus.Life(ctx)
	if err != nil {
		return false, err
	}
	if t.app.logged.counts(life, inv) && (t.asked || !bus.Redelivered(ctx)) {
		return false, nil
	}
	subjects := make([]string, len(recalledTypes))
	for i, known := range recalledTypes {
		subjects[i] = known.Subject(a.address(t.app.name))
	}
	found, err := a.bus.LastOfEach(ctx, subjects...)
	if err != nil {
		return false, fmt.Errorf("read what was said of %s: %w", t.app.name, err)
	}
	t.asked = true
	t.app.logged = logged{last: map[string]events.Event{}, life: life, inventory: inv.ResourceVersion}
	for _, e := range found {
		if e.Type != nil {
			t.app.logged.take(e)
		}
	}
	return true, nil
}

// settled follows what became of drafts, in the queue of their application.
func (a *applier) settled(drafts []events.Draft, stored []events.Event) {
	for i, d := range drafts {
		if !slices.Contains(recalledTypes, typeOf(d.Data)) {
			continue
		}
		switch app := a.application(d.Application); {
		case stored == nil: // it may be there, and it may not
			app.logged, app.saidFailure = logged{}, ""
		case app.logged.last != nil:
			app.logged.take(stored[i])
		}
	}
}
