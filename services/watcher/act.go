// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/failpoint"
)

// act publishes one revision. Its error wraps [bus.ErrConflict] where another
// watcher was first.
func (p *pass) act(ctx context.Context, f finding) error {
	commit, err := p.lookup.commit(f.tip)
	if err != nil {
		return err
	}
	ctx, traceparent := p.trace(ctx, f)
	source, err := p.source(ctx, commit.TreeHash)
	var refused *sourceError
	if errors.As(err, &refused) {
		return p.reject(ctx, f, commit, refused, traceparent)
	}
	if err != nil {
		return err
	}
	data := &events.CommitObserved{
		Revision:    revision(f, commit, p.trigger),
		Declaration: f.declaration, DeclarationDigest: f.digest,
		Source: source, FleetCommit: f.fleetCommit,
	}
	if err := failpoint.Hit(failpoint.WatcherBeforePublish); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	out, err := p.place(ctx, f, p.cause(f, traceparent), events.Draft{
		Data: data, Time: time.Now(), Address: f.address(), Expect: &events.Expectation{Last: f.verdict.expect},
	})
	if err = publishing(err); errors.As(err, &refused) {
		return p.reject(ctx, f, commit, refused, traceparent)
	}
	if err != nil || out == nil {
		return err
	}
	if err := failpoint.Hit(failpoint.WatcherAfterPublish); err != nil {
		return err
	}
	if out[0].Epoch != p.hub.log.epoch() {
		p.hub.checkLog(ctx)
	}
	m := remember(out[0], time.Now())
	m.checked = true
	p.last[f.subject()] = m
	p.hub.logger.InfoContext(ctx, "revision", "application", f.declaration.Application, "commit", f.tip.String(),
		"cause", f.verdict.cause, "forced", f.verdict.forced, "trigger", p.trigger, "sequence", out[0].Stored)
	return nil
}

// place publishes a revision, unless the fleet has assigned something else since
// the look began: another look follows then. It returns nil where nothing was
// published.
func (p *pass) place(ctx context.Context, f finding, cause events.Cause, d events.Draft) ([]events.Event, error) {
	p.hub.placing.RLock()
	defer p.hub.placing.RUnlock()
	if !slices.ContainsFunc(*p.assigned.Load(), func(a assignment) bool { return sameAssignment(a, f.assignment) }) {
		return nil, nil
	}
	return p.hub.ledger.Publish(ctx, cause, d)
}

// cause is the observation of a tip: the same tip after another revision is
// another one, so that A, B, A are three events however fast they follow.
func (p *pass) cause(f finding, traceparent string) events.Cause {
	commit := f.tip.String()
	return events.Cause{
		ID: causeID("tip", p.hub.log.epoch(), f.declaration.Source.Repository, f.ref(), commit, f.digest,
			f.subject(), strconv.FormatUint(f.verdict.expect, 10)),
		Traceparent: traceparent,
		Began:       p.began,
		Correlation: f.declaration.Application + "@" + commit,
	}
}

// traceparent is the identity of the trace of a commit: the same for all
// applications that it is a revision of (W3C Trace Context, version 00).
// Another declaration of the same commit is another trace.
func traceparent(f finding) string {
	parts := []string{f.declaration.Source.URL, f.tip.String(), f.verdict.previous, f.verdict.cause}
	if f.verdict.cause != causeCommit {
		parts = append(parts, f.fleetCommit, strconv.FormatUint(f.verdict.expect, 10))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	sum[0] |= 1
	sum[16] |= 1 // neither id may be zero
	return fmt.Sprintf("00-%x-%x-01", sum[:16], sum[16:24])
}

func revision(f finding, c *object.Commit, trigger string) events.Revision {
	signature := events.Signature{Verdict: "unsigned"}
	if c.PGPSignature != "" {
		signature.Verdict = "unverified"
	}
	return events.Revision{
		Commit: c.Hash.String(), Tree: c.TreeHash.String(), Ref: f.ref(),
		Author: person(c.Author), Committer: person(c.Committer), Title: title(c.Message), Signature: signature,
		Previous: f.verdict.previous, Forced: f.verdict.forced, Cause: f.verdict.cause, Trigger: trigger,
	}
}

func person(s object.Signature) events.Person {
	return events.Person{Name: clean(s.Name), Email: clean(s.Email), When: events.CommitTime(s.When)}
}

// title is the first line of a commit's message.
func title(message string) string {
	line, _, _ := strings.Cut(strings.TrimLeft(message, "\n"), "\n")
	return clean(line)
}

// clean makes valid, short text of what a commit claims: at most 120 runes,
// without control characters.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, strings.TrimSpace(s))
	n := 0
	for i := range s {
		if n == 120 {
			return s[:i]
		}
		n++
	}
	return s
}

// reject says once that a commit is refused; the revision before it stays.
func (p *pass) reject(ctx context.Context, f finding, c *object.Commit, why *sourceError, traceparent string) error {
	if p.rejected[f.subject()] == f.tip.String() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	data := &events.CommitRejected{
		Repository: f.declaration.Source.Repository, Ref: f.ref(), Commit: f.tip.String(),
		Author: person(c.Author), Reason: why.reason, Message: why.message,
	}
	last, err := p.hub.ledger.Last(ctx, events.TypeOf(data).Subject(f.address()))
	if err != nil && !errors.Is(err, bus.ErrNone) {
		return busError{err}
	}
	said, ok := last.Data.(*events.CommitRejected)
	if !ok || said.Commit != data.Commit || said.Reason != data.Reason || said.Ref != data.Ref || last.Stored < f.verdict.expect {
		cause := p.cause(f, traceparent)
		cause.ID = causeID("rejected", cause.ID, string(why.reason), strconv.FormatUint(last.Stored, 10))
		if _, err := p.hub.ledger.Publish(ctx, cause, events.Draft{Data: data, Address: f.address()}); err != nil {
			return publishing(err)
		}
	}
	p.hub.logger.WarnContext(ctx, "commit rejected", "application", f.declaration.Application, "commit", f.tip.String(), "reason", why.reason, "error", why)
	p.rejected[f.subject()] = f.tip.String()
	return nil
}
