// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// patience is many times what a step takes on a small machine.
const patience = 20 * time.Second

type story struct {
	rig      *rig.Rig
	out      receivers
	tell     *teller
	without  string
	patience time.Duration // how long a step waits for what it needs

	shop   *gitserver.Repo
	mark   int       // events from here on belong to the step
	pushed time.Time // when the step's push was answered
}

func (s *story) tellAll(ctx context.Context) error {
	steps := []struct {
		title string
		run   func(context.Context) error
	}{
		{"The services, each a process with a NATS user of its own", s.start},
		{"First convergence: what Git declares comes to be", s.first},
		{"A commit", s.commit},
		{"A hand edit in the cluster", s.handEdit},
		{"Another one, while nobody heals", s.lastingEdit},
		{"A broken commit", s.broken},
		{"git revert", s.revert},
		{"An object removed from Git", s.remove},
		{"kill -9 of the applier in mid-apply", s.kill},
		{"What Slack has shown", s.slack},
	}
	for _, step := range steps {
		s.tell.begin(step.title)
		if s.rig.Bus != nil {
			s.mark = s.rig.Bus.Mark()
		}
		if err := step.run(ctx); err != nil {
			return err
		}
	}
	if bad := s.rig.Bus.Bad(); len(bad) > 0 {
		return fmt.Errorf("on the bus was what is no event: %w", errors.Join(bad...))
	}
	return nil
}

// wait returns the step's first event of a type, and when it isn't there in
// time says what there was instead.
func (s *story) wait(ctx context.Context, name, application string) (rig.Seen, error) {
	return s.waitFor(ctx, name+" of "+application, rig.Of(name, application))
}

func (s *story) waitFor(ctx context.Context, what string, match func(rig.Seen) bool) (rig.Seen, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	e, err := s.rig.Bus.Wait(ctx, s.mark, match)
	if err == nil {
		return e, nil
	}
	return e, fmt.Errorf("no %s within %s; the bus saw %s: %w", what, s.patience, s.heard(), err)
}

func (s *story) heard() string {
	seen := s.rig.Bus.Since(s.mark)
	if len(seen) == 0 {
		return "nothing"
	}
	names := make([]string, 0, len(seen))
	for _, e := range seen[max(0, len(seen)-6):] {
		names = append(names, e.Type.Name()+" "+e.Application)
	}
	return strings.Join(names, ", ")
}

// push commits, pushes over HTTP and rings the webhook.
func (s *story) push(ctx context.Context, repo *gitserver.Repo, c gitserver.Commit) (string, error) {
	commit, err := repo.Commit(c)
	if err != nil {
		return "", err
	}
	return commit, s.send(ctx, repo)
}

func (s *story) send(ctx context.Context, repo *gitserver.Repo) error {
	if err := s.rig.Push(ctx, repo); err != nil {
		return err
	}
	s.pushed = time.Now()
	if s.without == "watcher" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	var refused error // the watcher may not listen yet
	err := rig.Until(ctx, func(ctx context.Context) (bool, error) {
		refused = s.rig.Ring(ctx, repo)
		return refused == nil, nil
	})
	if err != nil {
		return fmt.Errorf("ring the webhook: %w", errors.Join(err, refused))
	}
	return nil
}

func short(commit string) string { return commit[:min(12, len(commit))] }

func converged(commit string) func(rig.Seen) bool {
	return func(e rig.Seen) bool {
		c, ok := e.Data.(*events.ConvergenceCompleted)
		return ok && c.Revision.Commit == commit
	}
}
