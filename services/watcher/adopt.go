// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fleet"
)

// adopt puts a fleet in force: each application goes to the reader of its
// repository; readers start and end. Only the fleet reader calls it.
func (h *hub) adopt(ctx context.Context, now *inForce, trigger string) error {
	h.inForce.Store(now)
	work := map[string][]assignment{}
	for _, e := range now.memory.State.Applications {
		if e.Declaration == nil {
			continue
		}
		name := e.Declaration.Source.Repository
		work[name] = append(work[name], assignment{
			declaration: *e.Declaration, digest: fleet.Digest(*e.Declaration),
			fleetCommit: now.commit, entered: now.memory.Entered[e.Name],
		})
	}
	var own []assignment
	interval := h.FleetInterval
	wanted := map[string]bool{}
	for _, repository := range now.memory.State.Repositories {
		e, err := parseEndpoint(repository.URL)
		if err == nil && e == h.fleet {
			own = append(own, work[repository.Name]...)
			interval = min(interval, repository.Interval.Std())
			wanted[repository.Name] = false
			continue
		}
		wanted[repository.Name] = true
		if err := h.assign(ctx, repository, e, errors.Join(err, h.allowed(repository.Name, e)), work[repository.Name], trigger); err != nil {
			return err
		}
	}
	h.fleetReader.assigned.Store(&own)
	h.fleetReader.interval.Store(int64(interval))
	if err := h.dismiss(wanted); err != nil {
		return err
	}
	h.keepDeclared(ctx, now.memory.State)
	if len(now.memory.State.Rejections) > 0 {
		return nil // what is refused may be a repository: unknown is not undeclared
	}
	if err := h.forget(ctx, wanted); err != nil {
		h.logger.WarnContext(ctx, "outages of repositories that are no longer declared are not over; said at the next list of the fleet", "error", err)
	}
	return nil
}

// keepDeclared forgets the revisions of what is no longer declared.
func (h *hub) keepDeclared(ctx context.Context, s fleet.State) {
	subjects := map[string]bool{}
	for _, e := range s.Applications {
		if e.Declaration != nil {
			subjects[assignment{declaration: *e.Declaration}.subject()] = true
		}
	}
	if err := h.chronicle.keep(subjects, s.Complete); err != nil {
		h.logger.WarnContext(ctx, "revisions of what is no longer declared are not forgotten on disk", "error", err)
	}
}

// declarations reads those of this fleet.
func (h *hub) declarations() fleet.Reader {
	return fleet.Reader{Own: func(url string) bool {
		e, err := parseEndpoint(url)
		return err == nil && e == h.fleet
	}}
}

// allowed refuses what no fleet may declare. The fleet's own name is refused
// when declarations are read; what was declared before that may still hold it.
func (h *hub) allowed(name string, e endpoint) error {
	if name == fleetName {
		return refuse(events.ReasonUnauthorized, nil, "the name %s is the fleet repository's own; give this repository another name", fleetName)
	}
	if e.scheme == "file" && h.fleet.scheme != "file" {
		return refuse(events.ReasonUnauthorized, nil, "a fleet that is read over a network may not declare a file:// repository")
	}
	return nil
}

// assign gives a repository's reader its applications, and starts it where
// there is none for this URL.
func (h *hub) assign(ctx context.Context, repository fleet.Repository, e endpoint, refusal error, work []assignment, trigger string) error {
	h.mu.Lock()
	old := h.readers[repository.Name]
	h.mu.Unlock()
	if old != nil && old.remote.endpoint == e && (old.refusal == nil) == (refusal == nil) {
		before := old.interval.Swap(int64(repository.Interval))
		changed := !slices.EqualFunc(*old.assigned.Load(), work, sameAssignment)
		old.assigned.Store(&work)
		if changed || before != int64(repository.Interval) { // which counts from the next look
			old.look(trigger)
		}
		return nil
	}
	if old != nil {
		if err := old.retire(); err != nil {
			return fmt.Errorf("end of repository %s: %w", repository.Name, err)
		}
	}
	r := h.newReader(ctx, repository.Name, e, repository.Interval.Std())
	r.refusal = refusal
	r.assigned.Store(&work)
	ctx, r.cancel = context.WithCancel(ctx)
	h.mu.Lock()
	h.readers[repository.Name] = r
	h.mu.Unlock()
	h.work.Go(func() { r.run(ctx) })
	return nil
}

func sameAssignment(a, b assignment) bool {
	return a.digest == b.digest && a.entered == b.entered && a.declaration.Application == b.declaration.Application
}

// dismiss ends the readers of repositories that are no longer declared, and
// removes the mirrors that nobody uses.
func (h *hub) dismiss(wanted map[string]bool) error {
	h.mu.Lock()
	var ending []*reader
	roots := map[string]bool{filepath.Base(h.fleetReader.root): true}
	for name, r := range h.readers {
		if wanted[name] {
			roots[filepath.Base(r.root)] = true
			continue
		}
		ending = append(ending, r)
		delete(h.readers, name)
	}
	h.mu.Unlock()
	for _, r := range ending {
		if err := r.retire(); err != nil {
			return fmt.Errorf("end of repository %s: %w", r.name, err)
		}
	}
	return removeMirrors(h.Mirrors, roots)
}

// mirrorName is what newReader names a mirror's folder.
var mirrorName = regexp.MustCompile(`^[A-Za-z0-9_-]+-[0-9a-f]{12}$`)

// removeMirrors removes the mirrors in dir but those to keep, and nothing that
// is not certainly one.
func removeMirrors(dir string, keep map[string]bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("mirrors: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		_, missing := os.Stat(filepath.Join(path, "repo", "objects"))
		if e.IsDir() && !keep[e.Name()] && mirrorName.MatchString(e.Name()) && missing == nil {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	return err
}

// adoptRemembered puts the remembered fleet in force, where the fleet itself
// can't be read: the repositories that can be are watched meanwhile.
func (h *hub) adoptRemembered(ctx context.Context) error {
	if h.inForce.Load() != nil {
		return nil
	}
	m, err := loadMemory(h.Mirrors, h.blankMemory())
	if err != nil || m == nil {
		return err
	}
	return h.adopt(ctx, &inForce{memory: *m, commit: m.Commit, remembered: true}, byStart)
}
