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

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fault"
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
			f.reason, f.APIReason, f.Message = t.Reason, t.APIReason, t.Message
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
	reason events.Reason
}

// ready asks the API server whether it is; that it may not be asked counts as
// yes.
func (a *applier) ready(ctx context.Context) error {
	err := a.discovery.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	if err == nil || apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return fault.Outage("the API server of cluster "+a.cluster, err)
}

// refuse says that a bundle is not applied at all: nothing was written.
func (a *applier) refuse(ctx context.Context, t *task, refused []Refusal) ([]events.Draft, error) {
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	list := make([]failure, len(refused))
	for i, r := range refused {
		list[i] = failure{events.ObjectFailure{Object: r.Object, Message: cut(r.Message), File: r.File, Line: r.Line}, r.Reason}
	}
	drafts := a.fail(t, list)
	a.again(t, Plan{}, true)
	return drafts, nil
}

// fail says why a revision doesn't converge, once as long as it is the same.
func (a *applier) fail(t *task, list []failure) []events.Draft {
	if len(list) == 0 {
		t.app.saidFailure = ""
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
	return a.sayFailure(t, p)
}

// failWhole says why nothing of a bundle can be applied, whatever is in it.
func (a *applier) failWhole(t *task, reason events.Reason, message string) []events.Draft {
	return a.sayFailure(t, &events.ConvergenceFailed{Converging: t.said, Reason: reason, Message: message})
}

func (a *applier) sayFailure(t *task, p *events.ConvergenceFailed) []events.Draft {
	said := fingerprint(p, t.m.DeclarationDigest)
	if said == t.app.saidFailure && t.cause != causeRevision {
		return nil
	}
	t.app.saidFailure = said
	t.app.mu.Lock()
	t.app.health = healthState{}
	t.app.mu.Unlock()
	return []events.Draft{a.draft(t, p)}
}

// maxFailures is how many bytes of messages an event carries.
const maxFailures = 24 << 10

func fingerprint(p *events.ConvergenceFailed, declaration string) string {
	q := *p
	q.Cause, q.After = "", 0
	data, err := json.Marshal(q)
	if err != nil {
		return "" // never said before
	}
	sum := sha256.Sum256(append(data, declaration...))
	return hex.EncodeToString(sum[:])
}
