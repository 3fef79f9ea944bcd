// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// viewed are the types of event that tell how far an application has come.
var viewed = []string{
	"commit.observed", "manifests.rendered", "manifests.unchanged", "render.failed",
	"convergence.applied", "convergence.completed", "convergence.failed", "convergence.held", "convergence.superseded",
}

// view is the last event of each of those types, of one life of the log. What
// lies before the application's withdrawal is of one that is no more: it
// declares nothing, and nothing of it was applied.
type view struct {
	epoch string
	last  map[string]events.Event
	// withdrawn is the place in the log of the last withdrawal known that was
	// carried out; 0: there is none.
	withdrawn uint64
}

// load reads the whole view from the log.
func (v *view) load(ctx context.Context, conn *bus.Conn, at events.Address) error {
	log, err := conn.Log(ctx)
	if err != nil {
		return fmt.Errorf("read the state of the log: %w", err)
	}
	subjects := []string{events.TypeNamed("application.withdrawn").Subject(at)}
	for _, name := range viewed {
		subjects = append(subjects, events.TypeNamed(name).Subject(at))
	}
	found, err := conn.LastOfEach(ctx, subjects...)
	if err != nil {
		return fmt.Errorf("read the last events of %s: %w", at.Application, err)
	}
	withdrawn := uint64(0)
	if v.epoch == log.Epoch {
		withdrawn = v.withdrawn // a later one that is held may lie over it
	}
	last := map[string]events.Event{}
	for _, e := range found {
		if e.Type == nil || e.Epoch != log.Epoch {
			continue
		}
		if data, ok := e.Data.(*events.ApplicationWithdrawn); !ok {
			last[e.Type.Name()] = e
		} else if data.Outcome != events.ActionHeld { // else what there was is still there
			withdrawn = max(withdrawn, e.Stored)
		}
	}
	v.epoch, v.last, v.withdrawn = log.Epoch, last, withdrawn
	return nil
}

// take adds one event that was consumed. It reports false where the event
// can't be placed, being of another life of the log: the view must be loaded.
func (v *view) take(e events.Event) bool {
	if v.last == nil || e.Epoch != v.epoch {
		return false
	}
	if was, ok := v.last[e.Type.Name()]; !ok || was.Stored < e.Stored {
		v.last[e.Type.Name()] = e
	}
	return true
}

// same reports whether another view is of the same place in the log.
func (v view) same(o view) bool {
	return v.epoch == o.epoch && v.withdrawn == o.withdrawn &&
		maps.EqualFunc(v.last, o.last, func(a, b events.Event) bool { return a.Stored == b.Stored && a.ID == b.ID })
}

// at is the last event of a type since the withdrawal.
func (v *view) at(name string) (events.Event, bool) {
	e, ok := v.last[name]
	return e, ok && e.Stored > v.withdrawn
}

// order is the place of the newest revision that was seen, before the
// withdrawal too.
func (v *view) order() events.Order {
	o := events.Order{Epoch: v.epoch}
	for _, name := range []string{"commit.observed", "manifests.rendered", "manifests.unchanged"} {
		o.Sequence = max(o.Sequence, v.last[name].Sequence)
	}
	return o
}

// manifests is the newest bundle by revision, nil if there is none yet.
func (v *view) manifests() (*events.Manifests, events.Event) {
	var newest *events.Manifests
	var of events.Event
	for _, name := range []string{"manifests.rendered", "manifests.unchanged"} {
		e, ok := v.at(name)
		if !ok || newest != nil && e.Sequence <= of.Sequence {
			continue
		}
		switch data := e.Data.(type) {
		case *events.ManifestsRendered:
			newest, of = &data.Manifests, e
		case *events.ManifestsUnchanged:
			newest, of = &data.Manifests, e
		}
	}
	return newest, of
}

func (v *view) applied() *events.ConvergenceApplied {
	e, ok := v.at("convergence.applied")
	if !ok {
		return nil
	}
	data, _ := e.Data.(*events.ConvergenceApplied)
	return data
}

// declaration is the newest declaration that was seen, nil if there is none.
func (v *view) declaration() *events.Declaration {
	var newest *events.Declaration
	var sequence uint64
	consider := func(d *events.Declaration, e events.Event) {
		if newest == nil || e.Sequence > sequence {
			newest, sequence = d, e.Sequence
		}
	}
	if m, e := v.manifests(); m != nil {
		consider(&m.Declaration, e)
	}
	if e, ok := v.at("render.failed"); ok {
		if data, ok := e.Data.(*events.RenderFailed); ok {
			consider(&data.Declaration, e)
		}
	}
	if e, ok := v.at("commit.observed"); ok {
		if data, ok := e.Data.(*events.CommitObserved); ok {
			consider(&data.Declaration, e)
		}
	}
	return newest
}

// revision is the newest revision that was seen.
func (v *view) revision() (r events.Revision, sequence uint64, at time.Time, trace string) {
	if e, ok := v.at("commit.observed"); ok {
		if data, ok := e.Data.(*events.CommitObserved); ok {
			r, sequence, at, trace = data.Revision, e.Sequence, e.Time, e.Traceparent
		}
	}
	if m, e := v.manifests(); m != nil && e.Sequence > sequence {
		r, sequence, at, trace = m.Revision, e.Sequence, e.Time, e.Traceparent
	}
	return r, sequence, at, trace
}

// progress is how far the newest revision has come.
func (v *view) progress() Progress {
	var p Progress
	_, p.Revision, p.Observed, _ = v.revision()
	if m, e := v.manifests(); m != nil {
		p.Rendered = Milestone{e.Sequence, m.Digest, e.Time}
		p.Bundle = e.Sequence
	}
	if e, ok := v.at("manifests.rendered"); ok {
		p.Bundle = e.Sequence
	} else if p.Bundle > 0 {
		p.Bundle = 1 // the log keeps no rendering of it: it is as old as the log
	}
	if d := v.declaration(); d != nil {
		p.Timeout, p.Observe = d.Converge.Timeout.Std(), d.Converge.Mode == events.ModeObserve
	}
	if e, ok := v.at("render.failed"); ok {
		p.RenderFailed = e.Sequence
	}
	if e, ok := v.at("convergence.superseded"); ok {
		p.Superseded = e.Sequence
	}
	p.Applied, p.Completed = v.milestone("convergence.applied"), v.milestone("convergence.completed")
	p.Failed, p.Held = v.milestone("convergence.failed"), v.milestone("convergence.held")
	return p
}

// milestone is the last event of a type, the zero one where there is none.
func (v *view) milestone(name string) Milestone {
	e, ok := v.at(name)
	if !ok {
		return Milestone{}
	}
	return Milestone{e.Sequence, converging(e.Data).Digest, e.Time}
}

func converging(p events.Payload) events.Converging {
	switch data := p.(type) {
	case *events.ConvergenceApplied:
		return data.Converging
	case *events.ConvergenceCompleted:
		return data.Converging
	case *events.ConvergenceFailed:
		return data.Converging
	case *events.ConvergenceHeld:
		return data.Converging
	}
	return events.Converging{}
}

// items reads a list that is in the event, or else in a blob.
func items[T any](ctx context.Context, conn *bus.Conn, count int, inline []T, at *events.Blob) ([]T, error) {
	if at == nil {
		return inline, nil
	}
	data, err := conn.Blobs().Get(ctx, *at)
	if err != nil {
		return nil, fmt.Errorf("read a list of %d: %w", count, err)
	}
	var list []T
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("read a list of %d from %s: %w", count, at.Name, err)
	}
	return list, nil
}
