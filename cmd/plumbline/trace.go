// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/status"
	"github.com/plumbline-dev/plumbline/internal/timeline"
)

// kept is how many events the log keeps on a subject (deploy/nats/streams).
const kept = 256

const traceHelp = `Shows the way of one commit through the pipeline: when it was observed, rendered
and applied, when the cluster was healthy again, who did it and how much it was;
what failed, at which file and line; and what diverged from it afterwards, who
did that, and how it was put right.

  APP       its newest revision
  COMMIT    that commit, by its id or the beginning of it (at least 4 digits);
            where it concerns several applications, a line for each of them
  EVENT-ID  the revision that the event is about, as 'plumbline events -o json'
            and log lines name it

The times are those in the events. The trace id is the one of the commit's trace
in your tracing system, of its log lines and of its alerts.`

const traceExample = `  plumbline trace shop-web
  plumbline trace "$(git rev-parse HEAD)" --app shop-web
  plumbline trace convergence.failed-7c1e02ab94d04f2f8f4e1f0c2b7d9a11
  plumbline trace shop-web -o json | jq '.stages[] | {stage, start, end}'`

func traceCommand() *cobra.Command {
	var at target
	var out format
	var app string
	cmd := &cobra.Command{
		Use:     "trace APP|COMMIT|EVENT-ID",
		GroupID: "ask",
		Short:   "Show the way of one commit, stage by stage",
		Long:    traceHelp,
		Example: traceExample,
		Args:    between(1, 1, "one APP, COMMIT or EVENT-ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			now, err := at.reach(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer now.end()
			found, err := finder{now.conn, app}.find(now.ctx, args[0])
			if err != nil {
				return err
			}
			return printTraces(cmd.OutOrStdout(), out, found, clock())
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "only this application, where a commit concerns several")
	at.flags(cmd)
	out.flags(cmd)
	return cmd
}

// finder finds revisions in the log.
type finder struct {
	conn *bus.Conn
	app  string // the only application to look at; empty: all
}

var (
	eventID  = regexp.MustCompile(`^([a-z]+\.[a-z]+)-[0-9a-f]{4,32}$`)
	commitID = regexp.MustCompile(`^[0-9a-f]{4,64}$`)
)

// find finds what a user names: an application wins over a commit whose id
// begins like its name.
func (f finder) find(ctx context.Context, name string) ([]timeline.Revision, error) {
	if id := eventID.FindStringSubmatch(name); id != nil && events.TypeNamed(id[1]) != nil {
		return f.byEvent(ctx, events.TypeNamed(id[1]), name)
	}
	if f.app == "" || f.app == name {
		found, err := f.byApplication(ctx, name)
		if len(found) > 0 || err != nil {
			return found, err
		}
	}
	if commit := strings.ToLower(name); commitID.MatchString(commit) {
		return f.byCommit(ctx, commit)
	}
	return nil, f.unknown(ctx, name)
}

// unknown says what to give instead.
func (f finder) unknown(ctx context.Context, name string) error {
	view, err := latest(ctx, f.conn)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w. A commit is named by at least 4 digits of its id, an event by its whole id", unknown(view, name))
}

// byApplication is the newest revision of an application on each cluster.
func (f finder) byApplication(ctx context.Context, name string) ([]timeline.Revision, error) {
	app := events.EncodeToken(name)
	records, err := f.conn.Latest(ctx, "plumbline.v1.commit.observed.*."+app, "plumbline.v1.commit.rejected.*."+app)
	if err != nil {
		return nil, err
	}
	// The newest revision of a cluster is its last commit, observed or refused.
	var newest []timeline.Revision
	for _, r := range slices.Backward(records) {
		if r.Err != nil || slices.ContainsFunc(newest, func(v timeline.Revision) bool { return v.Cluster == r.Event.Cluster }) {
			continue
		}
		v, err := f.read(ctx, r.Event)
		if err != nil {
			return nil, err
		}
		newest = append(newest, v...)
	}
	slices.SortFunc(newest, func(a, b timeline.Revision) int { return strings.Compare(a.Cluster, b.Cluster) })
	return newest, nil
}

// byCommit is the newest revision of a commit for each application that it
// concerns.
func (f finder) byCommit(ctx context.Context, commit string) ([]timeline.Revision, error) {
	app := "*"
	if f.app != "" {
		app = events.EncodeToken(f.app)
	}
	found := map[events.Address]events.Event{}
	commits := map[string]bool{}
	for _, kind := range []string{"commit.observed", "commit.rejected"} {
		r := bus.Range{Filter: "plumbline.v1." + kind + ".*." + app, Holding: commit}
		_, err := f.conn.Read(ctx, r, func(r bus.Record) error {
			if id := commitOf(r.Event); r.Err == nil && strings.HasPrefix(id, commit) {
				found[r.Event.Address] = r.Event
				commits[id] = true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if err := f.one(commit, commits); err != nil {
		return nil, err
	}
	var all []timeline.Revision
	if len(found) > mostTraced {
		return nil, fmt.Errorf("commit %s concerns %d applications: name one of them, as in 'plumbline trace %s --app %s'", status.Short(commit), len(found), commit, anyOf(found).Application)
	}
	for _, e := range found {
		v, err := f.read(ctx, e)
		if err != nil {
			return nil, err
		}
		all = append(all, v...)
	}
	slices.SortFunc(all, func(a, b timeline.Revision) int {
		return strings.Compare(a.Cluster+"/"+a.Application, b.Cluster+"/"+b.Application)
	})
	return all, nil
}

// mostTraced is how many applications one commit is traced through at once.
const mostTraced = 100

func anyOf(found map[events.Address]events.Event) events.Address {
	var least events.Address
	for a := range found {
		if least.Application == "" || a.Application < least.Application {
			least = a
		}
	}
	return least
}

// one refuses a commit that isn't there, or is the beginning of several.
func (f finder) one(commit string, commits map[string]bool) error {
	of := ""
	if f.app != "" {
		of = " of " + f.app
	}
	switch len(commits) {
	case 0:
		return fmt.Errorf("no commit %s%s is in the log: it keeps %d of each application, and one that a later one replaced before anybody looked is never observed. See 'plumbline history APP'", commit, of, kept)
	case 1:
		return nil
	}
	ids := make([]string, 0, len(commits))
	for id := range commits {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	const most = 5
	more := ""
	if len(ids) > most {
		ids, more = ids[:most], ", …"
	}
	return fmt.Errorf("%s is the beginning of %d commits%s (%s%s): give more of it", commit, len(commits), of, strings.Join(ids, ", "), more)
}

// byEvent is the revision that an event is about.
func (f finder) byEvent(ctx context.Context, kind *events.Type, id string) ([]timeline.Revision, error) {
	filter := kind.Filter("*")
	var found []events.Event
	_, err := f.conn.Read(ctx, bus.Range{Filter: filter, Holding: id}, func(r bus.Record) error {
		if r.Err == nil && strings.HasPrefix(r.Event.ID, id) && !slices.ContainsFunc(found, func(e events.Event) bool { return e.ID == r.Event.ID }) {
			found = append(found, r.Event)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, fmt.Errorf("no event %s is in the log: it keeps %d of each kind and application. See 'plumbline events --type %s -o json'", id, kept, kind.Name())
	case len(found) > 1:
		return nil, fmt.Errorf("%s is the beginning of %d events: give more of it", id, len(found))
	}
	e := found[0]
	if e.Application == "" || e.Sequence == 0 && commitOf(e) == "" {
		return nil, fmt.Errorf("%s is about no revision: it says %q. See 'plumbline events --type %s'", id, printable(summary(e)), kind.Name())
	}
	return f.read(ctx, e)
}

// read is the revision that an event is about, with all that came of it.
func (f finder) read(ctx context.Context, e events.Event) ([]timeline.Revision, error) {
	all, err := eventsOf(ctx, f.conn, e.Application, e.Cluster, first(e))
	if err != nil {
		return nil, err
	}
	h := timeline.Fold(all, kept)
	if r := h.Of(e); r != nil {
		return []timeline.Revision{*r}, nil
	}
	return nil, fmt.Errorf("the log no longer keeps the revision that %s is about. See 'plumbline history %s'", e.ID, e.Application)
}

// first is where the life of the revision begins that e is about. That of a
// divergence may have begun long before.
func first(e events.Event) uint64 {
	if e.Type.Noun == "divergence" || e.Sequence == 0 || e.Sequence > e.Stored {
		if commitOf(e) != "" {
			return e.Stored
		}
		return 1
	}
	return e.Sequence
}

// commitOf is the commit that a commit event is about.
func commitOf(e events.Event) string {
	switch p := e.Data.(type) {
	case *events.CommitObserved:
		return p.Revision.Commit
	case *events.CommitRejected:
		return p.Commit
	}
	return ""
}

// eventsOf reads what the log tells of an application on a cluster ("*": on
// all of them) from a place on.
func eventsOf(ctx context.Context, conn *bus.Conn, application, cluster string, from uint64) ([]events.Event, error) {
	if cluster != "*" {
		cluster = events.EncodeToken(cluster)
	}
	at := cluster + "." + events.EncodeToken(application)
	var all []events.Event
	for _, filter := range []string{"plumbline.v1.*.*." + at, "plumbline.v1.divergence.*." + at + ".*"} {
		_, err := conn.Read(ctx, bus.Range{Filter: filter, From: from}, func(r bus.Record) error {
			if r.Err == nil {
				all = append(all, r.Event)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
