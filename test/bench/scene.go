// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/rig"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// patience bounds every wait: a thousand applications converge for the first
// time in one, on a machine that others use too.
const patience = 5 * time.Minute

// scene is a cluster of its own with Plumbline, and a repository of n
// applications.
type scene struct {
	options
	report   *report
	out      io.Writer
	n        int
	together bool // plumbline up

	rig      *rig.Rig
	repo     *gitserver.Repo
	observer *observer
	raw      *raw
	usage    *usage
	serial   int // of markers
	touched  int // applications that a hand has edited one by one
}

// with sets a scene up, has it measured and takes it down.
func with(ctx context.Context, o options, r *report, progress io.Writer, n int, together bool, do func(*scene) error) (err error) {
	dir, err := os.MkdirTemp("", "plumbline-bench-")
	if err != nil {
		return err
	}
	if o.keep {
		fmt.Fprintf(progress, "bench: the scene is in %s\n", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	s := &scene{options: o, report: r, out: progress, n: n, together: together}
	s.progress("boot")
	slack, err := slackserver.Listen(slackserver.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, slack.Close()) }()
	if s.rig, err = rig.New(ctx, rig.Options{
		Dir: dir, Bin: "bin", Audit: true, Progress: progress, Env: o.env, Slack: slack.URL(), SlackToken: slackserver.Token,
	}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.rig.Close()) }()
	if s.repo, err = s.rig.Repo("apps"); err != nil {
		return err
	}
	if s.observer, err = observe(ctx, s.rig.Cluster.Kubeconfig()); err != nil {
		return err
	}
	defer s.observer.stop()
	if s.raw, err = newRaw(s.rig.Cluster.Kubeconfig()); err != nil {
		return err
	}
	if err := s.raw.namespaces(ctx, n); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	s.usage = &usage{roots: s.processes()}
	defer s.usage.stop()
	if err := do(s); err != nil {
		return fmt.Errorf("%d applications: %w; the bus saw last:\n%s", n, err, s.heard())
	}
	return nil
}

func (s *scene) start(ctx context.Context) error {
	if s.together {
		return s.rig.UpTogether(ctx)
	}
	return s.rig.Up(ctx)
}

// processes are the roots of the process trees that are Plumbline, by name.
func (s *scene) processes() func() map[string]int {
	return func() map[string]int {
		pids := map[string]int{}
		names := append([]string{"nats", rig.Notifier}, rig.Services...)
		if s.together {
			names = []string{"up"}
		}
		for _, name := range names {
			if p := s.rig.Process(name); p != nil && p.Running() {
				pids[name] = p.PID()
			}
		}
		return pids
	}
}

func (s *scene) progress(format string, args ...any) {
	how := "services"
	if s.together {
		how = "up"
	}
	fmt.Fprintf(s.out, "%s bench: %s, N=%d: %s\n", time.Now().Format("15:04:05"), how, s.n, fmt.Sprintf(format, args...))
}

// heard are the last events, for a message about what did not come.
func (s *scene) heard() string {
	if s.rig.Bus == nil {
		return ""
	}
	seen := s.rig.Bus.Since(0)
	var lines strings.Builder
	for _, e := range seen[max(0, len(seen)-10):] {
		fmt.Fprintf(&lines, "  %s %s %s\n", e.At.Format("15:04:05.000"), e.Type.Name(), e.Application)
	}
	return lines.String()
}

// marker is a new value that nothing has had before.
func (s *scene) marker() string {
	s.serial++
	return fmt.Sprintf("m%d", s.serial)
}

// push commits, pushes over HTTP and rings the webhook; it returns when the
// push was answered.
func (s *scene) push(ctx context.Context, repo *gitserver.Repo, files map[string]string) (time.Time, error) {
	pushed, err := s.pushSilently(ctx, repo, files)
	if err != nil {
		return pushed, err
	}
	return pushed, s.rig.Ring(ctx, repo)
}

// pushSilently rings no webhook: the next poll finds the commit.
func (s *scene) pushSilently(ctx context.Context, repo *gitserver.Repo, files map[string]string) (time.Time, error) {
	if _, err := repo.Commit(gitserver.Commit{Files: files}); err != nil {
		return time.Time{}, err
	}
	err := s.rig.Push(ctx, repo)
	return time.Now(), err
}

// eachSaid waits for an event of each of the applications since mark, and
// returns when the last came.
func (s *scene) eachSaid(ctx context.Context, mark int, names map[string]bool, of int) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	missing := map[string]bool{}
	for i := range of {
		missing[application(i)] = true
	}
	var last time.Time
	for len(missing) > 0 {
		at := mark
		e, err := s.rig.Bus.Wait(ctx, mark, func(e rig.Seen) bool {
			at++
			return names[e.Type.Name()] && missing[e.Application]
		})
		if err != nil {
			return last, fmt.Errorf("%d applications said none of %v: %w", len(missing), names, err)
		}
		mark = at
		delete(missing, e.Application)
		last = e.At
	}
	return last, nil
}

// settle waits until all that was begun has been worked off.
func (s *scene) settle(ctx context.Context) error {
	if err := s.rig.Drained(ctx); err != nil {
		return err
	}
	return pause(ctx, 500*time.Millisecond)
}

// pause lets time pass: of an interval that is measured, or of what is written
// a moment late and tells nobody when.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
