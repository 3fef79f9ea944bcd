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
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

// ready is a revision with all that is to be said of it.
type ready struct {
	finding
	commit      *object.Commit
	traceparent string
	post        bus.Post
}

// act publishes some revisions, in their order. It reports whether another
// watcher was first with one; every other error is the first of those that met
// some of them, after all that could be published is.
func (p *pass) act(ctx context.Context, found []finding) (conflict bool, err error) {
	var all []ready
	var failed error
	for _, f := range found {
		one, err := p.prepare(ctx, f)
		if err != nil {
			failed = err
			break // what is ready is published: the others' turn comes again
		}
		if one != nil {
			all = append(all, *one)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	all, posted := p.place(ctx, all)
	for i, r := range all {
		err := p.took(ctx, r, posted[i])
		if errors.Is(err, bus.ErrConflict) {
			delete(p.last, r.subject())
			p.hub.checkLog(ctx) // it may be another log
			conflict = true
			continue
		}
		if failed == nil {
			failed = err
		}
	}
	return conflict, failed
}

// prepare makes a revision ready to be published; nil: its commit is rejected.
func (p *pass) prepare(ctx context.Context, f finding) (*ready, error) {
	commit, err := p.lookup.commit(f.tip)
	if err != nil {
		return nil, err
	}
	ctx, traceparent := p.trace(ctx, f)
	r := &ready{finding: f, commit: commit, traceparent: traceparent}
	source, err := p.source(ctx, commit.TreeHash)
	var refused *sourceError
	if errors.As(err, &refused) {
		return nil, p.reject(ctx, *r, refused)
	}
	if err != nil {
		return nil, err
	}
	r.post = bus.Post{Cause: p.cause(f, traceparent), Draft: events.Draft{
		Data: &events.CommitObserved{
			Revision:    revision(f, commit, p.trigger),
			Declaration: f.declaration, DeclarationDigest: f.digest,
			Source: source, FleetCommit: f.fleetCommit,
		},
		Time: time.Now(), Address: f.address(), Expect: &events.Expectation{Last: f.verdict.expect},
	}}
	return r, failpoint.Hit(failpoint.WatcherBeforePublish)
}

// place publishes revisions, but for those to which the fleet has assigned
// something else since the look began: another look follows then. It returns
// what was published, and what became of each.
func (p *pass) place(ctx context.Context, all []ready) ([]ready, []bus.Posted) {
	p.hub.placing.RLock()
	defer p.hub.placing.RUnlock()
	assigned := map[string]assignment{}
	for _, a := range *p.assigned.Load() {
		assigned[a.subject()] = a
	}
	all = slices.DeleteFunc(all, func(r ready) bool {
		a, ok := assigned[r.subject()]
		return !ok || !sameAssignment(a, r.by)
	})
	if len(all) == 0 {
		return nil, nil
	}
	p.writeDown(ctx, all)
	posts := make([]bus.Post, len(all))
	for i, r := range all {
		posts[i] = r.post
	}
	return all, p.hub.ledger.PublishEach(ctx, posts)
}

// writeDown writes down what is about to be published, but for what is said
// again.
func (p *pass) writeDown(ctx context.Context, all []ready) {
	var list []saying
	for _, r := range all {
		if r.verdict.action != revive {
			list = append(list, saying{r.subject(), past{
				Commit: r.tip.String(), Digest: r.digest, FleetCommit: r.fleetCommit, Declaration: &r.declaration,
			}})
		}
	}
	if err := p.hub.chronicle.say(list); err != nil {
		p.hub.logger.WarnContext(ctx, "what is said is not written down: if the bus is lost after this process, it is not known what is in force while a newest commit can't be rendered", "error", err)
	}
}

// took takes note of what became of a revision that was to be published. Its
// error wraps [bus.ErrConflict] where another watcher was first.
func (p *pass) took(ctx context.Context, r ready, posted bus.Posted) error {
	ctx = telemetry.Within(ctx, r.traceparent)
	err := publishing(posted.Err)
	var refused *sourceError
	if errors.As(err, &refused) {
		return p.reject(ctx, r, refused)
	}
	if err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.WatcherAfterPublish); err != nil {
		return err
	}
	out := posted.Event
	if out.Epoch != p.hub.log.epoch() {
		p.hub.checkLog(ctx)
	}
	m := remember(out, time.Now())
	m.checked = true
	p.last[r.subject()] = m
	p.hub.outcomes.askedAt(r.subject(), m.read) // its outcome is most often heard
	if r.verdict.action == revive {
		p.revived(r.finding, out.Stored)
	}
	p.hub.logger.InfoContext(ctx, "revision", "application", r.declaration.Application, "commit", r.tip.String(),
		"cause", r.verdict.cause, "forced", r.verdict.forced, "trigger", p.trigger, "sequence", out.Stored)
	return nil
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
func (p *pass) reject(ctx context.Context, r ready, why *sourceError) error {
	f, c := r.finding, r.commit
	if f.verdict.action == revive {
		p.revived(f, 0)
		return nil
	}
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
		cause := p.cause(f, r.traceparent)
		cause.ID = causeID("rejected", cause.ID, string(why.reason), strconv.FormatUint(last.Stored, 10))
		if _, err := p.hub.ledger.Publish(ctx, cause, events.Draft{Data: data, Address: f.address()}); err != nil {
			return publishing(err)
		}
	}
	p.hub.logger.WarnContext(ctx, "commit rejected", "application", f.declaration.Application, "commit", f.tip.String(), "reason", why.reason, "error", why)
	p.rejected[f.subject()] = f.tip.String()
	if f.last.published == nil {
		p.look(byPoll) // the revision before it may have to be said
	}
	return nil
}
