// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fleet"
)

const (
	// maxPast is how many revisions are kept of an application: the last that was
	// rendered, and the newest of those said since.
	maxPast = 16
	// settleTime is how long outcomes are gathered before they are written. What
	// is lost with a process meanwhile is found out again.
	settleTime = time.Second
)

// past is a revision as it was said: a commit under a declaration.
type past struct {
	Commit      string              `json:"commit"`
	Digest      string              `json:"digest"` // of Declaration
	FleetCommit string              `json:"fleetCommit"`
	Declaration *events.Declaration `json:"declaration,omitempty"` // in a file left out where the one before has the same
	Good        bool                `json:"good,omitempty"`        // it was rendered
}

func (p past) is(commit, digest string) bool { return p.Commit == commit && p.Digest == digest }

// chronicle is what was said of each application, from the last revision that
// was rendered on; of what is after it the outcome isn't known. So it is known
// what is in force when the log is lost while the newest commit can't be
// rendered.
//
// A revision is written down before it is published: a chronicle that knew less
// than a cluster was driven to would lead it back. What became of it may be
// written later, or never: of a revision whose outcome isn't known it is found
// out again by saying it.
//
// It is kept beside the mirrors. Where it is lost, it is learnt from the log. It
// is safe for concurrent use.
type chronicle struct {
	mu      sync.Mutex
	bySaid  map[string][]past // by subject of the commit.observed, the oldest first
	dirty   map[string]bool   // subjects whose outcomes are not written yet
	kept    map[string]bool   // subjects of what is declared; nil: not known yet
	journal *journal
	changed chan struct{}
}

// openChronicle reads what was written down in dir.
func openChronicle(dir string) (*chronicle, error) {
	j, all, err := openJournal(dir)
	if err != nil {
		return nil, err
	}
	return &chronicle{bySaid: all, dirty: map[string]bool{}, journal: j, changed: make(chan struct{}, 1)}, nil
}

// run writes outcomes down until ctx ends.
func (c *chronicle) run(ctx context.Context, log *slog.Logger) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-c.changed:
			timer := time.NewTimer(settleTime)
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
		}
		if err := c.flush(); err != nil {
			log.Warn("what became of revisions is not written down; it is found out again after a restart", "error", err)
		}
	}
}

func (c *chronicle) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.write(c.dirty)
	clear(c.dirty)
	return err
}

func (c *chronicle) close() error {
	err := c.flush()
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(err, c.journal.close())
}

// write appends the present state of some subjects. c.mu is held.
func (c *chronicle) write(subjects map[string]bool) error {
	if len(subjects) == 0 {
		return nil
	}
	return c.journal.append(c.bySaid, subjects)
}

// saying is a revision that is about to be published.
type saying struct {
	subject string
	past    past
}

// say notes revisions, and returns once they are written down.
func (c *chronicle) say(all []saying) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	subjects := map[string]bool{}
	for _, s := range all {
		list := c.bySaid[s.subject]
		if n := len(list); n > 0 && list[n-1].is(s.past.Commit, s.past.Digest) || !c.keeps(s.subject) {
			continue
		}
		c.bySaid[s.subject] = bounded(append(slices.Clone(list), s.past))
		subjects[s.subject] = true
	}
	return c.write(subjects)
}

// bounded drops the oldest of those of which it isn't known whether they can be
// rendered.
func bounded(list []past) []past {
	if len(list) <= maxPast {
		return list
	}
	if list[0].Good {
		return append(list[:1:1], list[len(list)-maxPast+1:]...)
	}
	return list[len(list)-maxPast:]
}

func (c *chronicle) keeps(subject string) bool { return c.kept == nil || c.kept[subject] }

// take notes what became of a revision.
func (c *chronicle) take(e events.Event) {
	var seen past
	after := rendered
	m := manifestsOf(e)
	failure, ok := e.Data.(*events.RenderFailed)
	switch {
	case m != nil:
		seen = past{Commit: m.Revision.Commit, Digest: m.DeclarationDigest, Declaration: &m.Declaration}
	case ok:
		after, seen = failed, past{Commit: failure.Revision.Commit, Digest: fleet.Digest(failure.Declaration)}
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	subject := typeObserved.Subject(e.Address)
	if !c.keeps(subject) {
		return
	}
	list := c.bySaid[subject]
	next := after(list, seen)
	if slices.Equal(list, next) {
		return
	}
	if c.bySaid[subject] = next; len(next) == 0 {
		delete(c.bySaid, subject)
	}
	c.dirty[subject] = true
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// rendered is a list after one of it was rendered: what was before that is over.
// One that isn't in the list was said by another watcher, or before there was
// one.
func rendered(list []past, p past) []past {
	p.Good = true
	for i, known := range slices.Backward(list) {
		if known.is(p.Commit, p.Digest) {
			p.FleetCommit, p.Declaration = known.FleetCommit, known.Declaration
			return append([]past{p}, list[i+1:]...)
		}
	}
	if len(list) > 0 && list[0].Good {
		list = list[1:]
	}
	return append([]past{p}, list...)
}

// failed is a list after one of it could not be rendered. One that could before
// stays: it may again.
func failed(list []past, p past) []past {
	return slices.DeleteFunc(slices.Clone(list), func(known past) bool { return !known.Good && known.is(p.Commit, p.Digest) })
}

// settled says that an application's newest revision was rendered, and is this.
func (c *chronicle) settled(subject, commit, digest string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.bySaid[subject]
	return len(list) > 0 && list[len(list)-1].Good && list[len(list)-1].is(commit, digest)
}

// before are the revisions that may be what is in force while another one is
// not: the newest first.
func (c *chronicle) before(subject, commit, digest string) []past {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := slices.Clone(c.bySaid[subject])
	slices.Reverse(list)
	return slices.DeleteFunc(list, func(p past) bool { return p.is(commit, digest) })
}

// commits are those that may have to be said again of some applications.
func (c *chronicle) commits(subjects []string) map[plumbing.Hash]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[plumbing.Hash]bool{}
	for _, subject := range subjects {
		for _, p := range c.bySaid[subject] {
			all[plumbing.NewHash(p.Commit)] = true
		}
	}
	return all
}

// keep forgets all but some applications, those that are declared: one that is
// declared again later has another life. Where others may be declared too, none
// is forgotten.
func (c *chronicle) keep(subjects map[string]bool, complete bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !complete {
		if c.kept != nil {
			maps.Copy(c.kept, subjects)
		}
		return nil
	}
	c.kept = subjects
	gone := map[string]bool{}
	for subject := range c.bySaid {
		if !subjects[subject] {
			gone[subject] = true
			delete(c.bySaid, subject)
		}
	}
	return c.write(gone)
}
