// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/docs/playbooks"
	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/incident"
	"github.com/plumbline-dev/plumbline/internal/status"
)

const alertsHelp = `Shows what is wrong now that people are alerted of, the oldest first: since when,
what it is about, where it was told (channel and thread), the command that does
something about it, and its playbook. With APP only what is about that application.

What is told here is what the notifier tells in Slack, from the same events; it is
here too where no notifier runs. A divergence is an alert once it is older than the
application's alertAfter; 'plumbline status' shows younger ones.

--all adds what was wrong and is over, of the last day or of --since.`

const alertsExample = `  plumbline alerts
  plumbline alerts shop-web
  plumbline alerts --all --since 1h
  plumbline alerts -o json | jq -r '.[] | select(.delivered == null) | .title'`

func alertsCommand() *cobra.Command {
	var at target
	var out format
	var all bool
	var since, base string
	cmd := &cobra.Command{
		Use:     "alerts [APP]",
		GroupID: "ask",
		Short:   "Show what is wrong now, and where it was told",
		Long:    alertsHelp,
		Example: alertsExample,
		Args:    between(0, 1, "at most one APP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			now := clock()
			after, err := sinceWhen(since, now)
			if err != nil {
				return usagef("--since %q: %w", since, err)
			}
			if cmd.Flags().Changed("since") && !all {
				return usagef("--since is for what is over: want --all with it")
			}
			s, err := at.reach(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer s.end()
			view, err := readIncidents(s.ctx, s.conn)
			if err != nil {
				return err
			}
			found := view.Open()
			if all {
				found = append(found, view.Closed()...)
			}
			found = slices.DeleteFunc(found, func(i incident.Incident) bool {
				return len(args) > 0 && i.Application != args[0] || !i.Open() && i.Closed.Time.Before(after)
			})
			if len(args) > 0 && len(found) == 0 {
				view, err := latest(s.ctx, s.conn)
				if err != nil {
					return err
				}
				if len(view.Of(args[0])) == 0 {
					return unknown(view, args[0])
				}
			}
			p := alertPrinter{out: cmd.OutOrStdout(), paint: painter(cmd.OutOrStdout()), base: base, now: now}
			if out == formatJSON {
				return p.printJSON(found)
			}
			return p.print(found)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "what is over, too")
	cmd.Flags().StringVar(&since, "since", "24h", "with --all: what has ended since then, as 24h, or a day as 2026-03-14")
	cmd.Flags().StringVar(&base, "playbooks", playbooks.DefaultBase, "where the playbooks are that are linked to")
	at.flags(cmd)
	out.flags(cmd)
	return cmd
}

// mostRead is of how many open incidents the beginning is looked up.
const mostRead = 200

// readIncidents reads what is wrong and was: the last event on each subject
// tells, and of what is open, those before tell since when.
func readIncidents(ctx context.Context, conn *bus.Conn) (*incident.View, error) {
	var view incident.View
	add := func(r bus.Record) {
		if r.Err == nil {
			view.Add(r.Event)
		}
	}
	records, err := conn.Latest(ctx, append(incident.Filters(), "plumbline.v1.alert.>")...)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		add(r)
	}
	err = fleetLists(ctx, conn, view.Missing(), func(b events.Blob, entries []events.FleetEntry) {
		applications := map[string]bool{}
		for _, e := range entries {
			applications[e.Application] = true
		}
		view.Declare(b, applications)
	})
	if err != nil {
		return nil, err
	}
	open := view.Open()
	for _, i := range open[:min(len(open), mostRead)] {
		if i.Kind == incident.Declaration || i.Kind == incident.Divergence {
			continue // their events say since when
		}
		for _, subject := range i.Subjects() {
			if t, _, err := events.ParseSubject(subject); err == nil && t.Scope == events.ScopeCluster {
				continue // the newest list is what counts
			}
			if _, err := conn.Read(ctx, bus.Range{Filter: subject}, each(add)); err != nil {
				return nil, err
			}
		}
	}
	return &view, nil
}

// alertPrinter prints incidents.
type alertPrinter struct {
	out   io.Writer
	paint paint
	base  string // of the playbooks
	now   time.Time
}

func (p alertPrinter) print(all []incident.Incident) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(p.out, "Nothing is wrong that people are alerted of.")
		return err
	}
	for i, one := range all {
		if i > 0 {
			fmt.Fprintln(p.out)
		}
		p.incident(one)
	}
	return nil
}

func (p alertPrinter) incident(i incident.Incident) {
	name := or(i.Application, "the fleet")
	if i.Kind == incident.Source {
		name = or(i.Application, "repository "+i.Scope.Address.Key)
	}
	if i.Cluster != "" {
		name += " on " + i.Cluster
	}
	state, colour := "open for "+age(p.now.Sub(i.Since)), red
	if i.Kind == incident.Hold || i.Kind == incident.Withdrawal {
		colour = yellow
	}
	if !i.Open() {
		state, colour = "over since "+minute(i.Closed.Time), faint
	}
	fmt.Fprintf(p.out, "%s: %s, %s\n", printable(name), fit(printable(i.Title), max(20, width-len(name)-len(state)-4)), p.paint.in(colour, state))
	d := details{p.out}
	d.line("since", minute(i.Since))
	if !i.Open() {
		d.line("over", i.Closed.How)
	}
	d.line("reason", i.Reason)
	d.line("message", i.Message)
	if i.Object != nil {
		d.line("object", i.Object.String())
	}
	d.line("declared", strings.TrimSuffix(position(i.File, i.Line), ": "))
	if i.Writer != nil {
		d.line("writer", i.Writer.Manager)
	}
	if i.Commit != "" {
		d.line("commit", strings.TrimSuffix(fmt.Sprintf("%s %s, by %s", status.Short(i.Commit), i.CommitTitle, i.Author), ", by "))
	}
	d.line("trace", i.TraceID())
	d.line("told", p.told(i))
	if i.Open() {
		d.whole("do", strings.Replace(i.Act(), i.Hold, status.Short(i.Hold), 1))
		d.whole("playbook", playbooks.URL(p.base, i.Page()))
	}
}

// told says where people were told of an incident, or that they were not.
func (p alertPrinter) told(i incident.Incident) string {
	text := "nobody: no alert of it is in the log"
	if told := i.Told(); told != nil {
		text = fmt.Sprintf("%s, thread %s, %s ago", told.Channel, told.Thread, age(p.now.Sub(i.Delivered.Time)))
		if told.Resolved && i.Open() {
			text += " (of the time before)"
		}
	}
	if f, ok := i.Failed.Data.(*events.AlertFailed); ok && i.Failed.Stored > i.Delivered.Stored {
		text += fmt.Sprintf("; not to %s: %s (%s)", f.Channel, f.Message, f.Reason)
	}
	return text
}

// alert is what -o json tells of an incident.
type alert struct {
	Kind        incident.Kind `json:"kind"`
	Application string        `json:"application,omitempty"`
	Cluster     string        `json:"cluster,omitempty"`
	Key         string        `json:"key,omitempty"` // of the divergence, the repository, the declaration
	Open        bool          `json:"open"`
	Since       time.Time     `json:"since"`
	Closed      *closed       `json:"closed,omitempty"`
	Title       string        `json:"title"`
	Message     string        `json:"message,omitempty"`
	Reason      string        `json:"reason,omitempty"`
	Object      string        `json:"object,omitempty"`
	File        string        `json:"file,omitempty"`
	Line        int           `json:"line,omitempty"`
	Commit      string        `json:"commit,omitempty"`
	Author      string        `json:"author,omitempty"`
	Hold        string        `json:"hold,omitempty"` // the digest to approve
	TraceID     string        `json:"traceId,omitempty"`
	Event       string        `json:"event"` // id of the event that says so
	Delivered   *delivered    `json:"delivered,omitempty"`
	Failed      *undelivered  `json:"failed,omitempty"`
	Act         string        `json:"act,omitempty"` // the command that does something about it
	Playbook    string        `json:"playbook,omitempty"`
}

// closed says how an incident ended.
type closed struct {
	How    string    `json:"how"`
	When   time.Time `json:"when"`
	Event  string    `json:"event"`
	Commit string    `json:"commit,omitempty"`
}

// delivered says where people were told.
type delivered struct {
	Channel  string    `json:"channel"`
	Thread   string    `json:"thread"`
	When     time.Time `json:"when"`
	Resolved bool      `json:"resolved,omitempty"` // they were told that it is over
}

// undelivered says why people can't be told.
type undelivered struct {
	Channel string        `json:"channel"`
	Reason  events.Reason `json:"reason"`
	Message string        `json:"message"`
	When    time.Time     `json:"when"`
}

func (p alertPrinter) printJSON(all []incident.Incident) error {
	list := make([]alert, 0, len(all))
	for _, i := range all {
		list = append(list, p.alert(i))
	}
	return printJSON(p.out, list)
}

func (p alertPrinter) alert(i incident.Incident) alert {
	a := alert{
		Kind: i.Kind, Application: i.Application, Cluster: i.Cluster, Key: i.Scope.Address.Key, Open: i.Open(), Since: i.Since,
		Title: i.Title, Message: i.Message, Reason: i.Reason, File: i.File, Line: i.Line, Commit: i.Commit, Author: i.Author,
		Hold: i.Hold, TraceID: i.TraceID(), Event: i.EventID(), Act: i.Act(), Playbook: playbooks.URL(p.base, i.Page()),
	}
	if i.Object != nil {
		a.Object = i.Object.String()
	}
	if i.Closed != nil {
		a.Closed = &closed{i.Closed.How, i.Closed.Time, i.Closed.Event, i.Closed.Commit}
	}
	if told := i.Told(); told != nil {
		a.Delivered = &delivered{told.Channel, told.Thread, i.Delivered.Time, told.Resolved}
	}
	if f, ok := i.Failed.Data.(*events.AlertFailed); ok {
		a.Failed = &undelivered{f.Channel, f.Reason, f.Message, i.Failed.Time}
	}
	return a
}
