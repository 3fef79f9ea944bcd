// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/plumbline-dev/plumbline/events"
)

// failures are the objects that failed, or an outage: an API server that is
// starting or stopping refuses much that it would grant.
func (a *applier) failures(ctx context.Context, done *outcome) ([]failure, error) {
	var list []failure
	for _, key := range slices.Sorted(maps.Keys(done.steps)) {
		s, r := done.steps[key], done.results[key]
		if r.Err == nil {
			continue
		}
		f := failure{reason: events.ReasonRefused, ObjectFailure: events.ObjectFailure{Object: s.Object, Message: cut(r.Err.Error())}}
		if s.Target != nil {
			f.File, f.Line = s.Target.File, s.Target.Line
		}
		if t := new(trouble); errors.As(r.Err, &t) {
			f.reason, f.APIReason, f.Message, f.passing = t.Reason, t.APIReason, t.Message, t.Passing
		}
		list = append(list, f)
	}
	if len(list) > 0 {
		if err := a.ready(ctx); err != nil {
			return nil, err
		}
	}
	return list, nil
}

type failure struct {
	events.ObjectFailure
	reason  events.Reason
	passing bool
}

// refuse says that a bundle is not applied at all: nothing was written.
func (a *applier) refuse(ctx context.Context, t *task, refused []Refusal) ([]events.Draft, error) {
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	list := make([]failure, len(refused))
	for i, r := range refused {
		list[i] = failure{
			ObjectFailure: events.ObjectFailure{Object: r.Object, Message: cut(r.Message), File: r.File, Line: r.Line},
			reason:        r.Reason,
		}
	}
	drafts := a.fail(t, list)
	a.again(t, Plan{}, true)
	return drafts, nil
}

// fail says which objects a revision doesn't converge for; none: it does.
func (a *applier) fail(t *task, list []failure) []events.Draft {
	if len(list) == 0 {
		t.app.saidFailure, t.app.hiding = "", ""
		return nil
	}
	first := list[0]
	message := first.Message
	if n := len(list) - 1; n > 0 {
		message += fmt.Sprintf("; and %d more", n)
	}
	p := &events.ConvergenceFailed{Converging: t.said, Reason: first.reason, Message: cut(message), Failed: len(list)}
	size := 0
	for _, f := range list[:min(len(list), events.MaxInline)] {
		if size += len(f.Message); size > maxFailures {
			break
		}
		p.Failures = append(p.Failures, f.ObjectFailure)
	}
	return a.sayFailure(t, p, slices.ContainsFunc(list, func(f failure) bool { return f.passing }))
}

// failWhole says why nothing of a bundle can be applied, whatever is in it.
func (a *applier) failWhole(t *task, reason events.Reason, message string) []events.Draft {
	return a.sayFailure(t, &events.ConvergenceFailed{Converging: t.said, Reason: reason, Message: message}, false)
}

// sayFailure says why a revision doesn't converge, once as long as it is the same,
// whether its event or a look at the level brought it. What may pass, and hides
// for one try whether the rest is as it was said to be, is said when it comes
// twice in a row.
func (a *applier) sayFailure(t *task, p *events.ConvergenceFailed, passing bool) []events.Draft {
	before := t.app.hiding
	t.app.hiding = ""
	said, of := fingerprint(p), order(t.event)
	known := t.app.saidFailure != "" && t.app.failedOf == of
	if known && said == t.app.saidFailure {
		return nil
	}
	if known && said != before && passing {
		t.app.hiding = said
		return nil
	}
	t.app.saidFailure, t.app.failedOf = said, of
	t.app.mu.Lock()
	t.app.health = healthState{}
	t.app.mu.Unlock()
	return []events.Draft{a.draft(t, p)}
}

// maxFailures is how many bytes of messages an event carries.
const maxFailures = 24 << 10

// fingerprint tells what was said of a failure from what else could be.
func fingerprint(p *events.ConvergenceFailed) string {
	// Of a kind that isn't served discovery doesn't tell whether it has namespaces,
	// and the answer to a request does: it is the same failure.
	failures := slices.Clone(p.Failures)
	for i := range failures {
		failures[i].Namespace = ""
	}
	data, err := json.Marshal(events.ConvergenceFailed{
		Converging: events.Converging{Digest: p.Digest}, Reason: p.Reason, Message: p.Message, Failures: failures, Failed: p.Failed,
	})
	if err != nil {
		return "" // never said before
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
