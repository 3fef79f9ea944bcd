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

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/status"
	"github.com/plumbline-dev/plumbline/internal/timeline"
)

const historyHelp = `Shows every revision of an application, the newest first: what became of it, how
long that took from when it was observed, who saw it, and who wrote it. What
failed is there like what converged.

  converged    applied and healthy
  unchanged    its bundle equals that of the revision before it
  failed       refused, not rendered, not applied or not healthy: the reason is below
  held         it waits for an approval
  superseded   a newer revision came first
  compared     the application is only observed: compared, never written
  in progress  it is on its way
  unknown      the log no longer keeps how it ended

The log keeps 256 events of each kind and application: the last line says where
history begins.`

const historyExample = `  plumbline history shop-web
  plumbline history shop-web --since 24h
  plumbline history shop-web --limit 0 -o json | jq -r '.revisions[] | select(.outcome == "failed") | .commit'`

// past says how much of the past to show.
type past struct {
	limit int
	since string
}

func historyCommand() *cobra.Command {
	var at target
	var out format
	var p past
	cmd := &cobra.Command{
		Use:     "history APP",
		GroupID: "ask",
		Short:   "Show every revision of an application, failures included",
		Long:    historyHelp,
		Example: historyExample,
		Args:    between(1, 1, "one APP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			now := clock()
			since, err := sinceWhen(p.since, now)
			if err != nil {
				return usagef("--since %q: %w", p.since, err)
			}
			if p.limit < 0 {
				return usagef("--limit %d: want how many to show, 0 for all", p.limit)
			}
			s, err := at.reach(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer s.end()
			h, err := readHistory(s.ctx, s.conn, args[0])
			if err != nil {
				return err
			}
			shown := chosen(h.Revisions, p.limit, since)
			return printHistory(cmd.OutOrStdout(), out, args[0], h, shown, now)
		},
	}
	cmd.Flags().IntVar(&p.limit, "limit", 20, "how many to show at most; 0: all that the log keeps")
	cmd.Flags().StringVar(&p.since, "since", "", "only revisions since then: 24h, or a day as 2026-03-14")
	at.flags(cmd)
	out.flags(cmd)
	return cmd
}

// readHistory reads all revisions of an application, without its divergences.
func readHistory(ctx context.Context, conn *bus.Conn, application string) (timeline.History, error) {
	var all []events.Event
	filter := "plumbline.v1.*.*.*." + events.EncodeToken(application)
	_, err := conn.Read(ctx, bus.Range{Filter: filter}, func(r bus.Record) error {
		if r.Err == nil {
			all = append(all, r.Event)
		}
		return nil
	})
	if err != nil {
		return timeline.History{}, err
	}
	h := timeline.Fold(all, kept)
	if len(h.Revisions) > 0 {
		return h, nil
	}
	view, err := latest(ctx, conn)
	if err != nil {
		return h, err
	}
	if len(view.Of(application)) > 0 {
		return h, fmt.Errorf("no revision of %s was observed yet. See 'plumbline status %s'", application, application)
	}
	return h, unknown(view, application)
}

// chosen are the revisions to show.
func chosen(all []timeline.Revision, limit int, since time.Time) []timeline.Revision {
	all = slices.DeleteFunc(slices.Clone(all), func(r timeline.Revision) bool { return r.Observed.Before(since) })
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all
}

func printHistory(w io.Writer, out format, application string, h timeline.History, shown []timeline.Revision, now time.Time) error {
	if out == formatJSON {
		if shown == nil {
			shown = []timeline.Revision{}
		}
		return printJSON(w, struct {
			Application string              `json:"application"`
			Begins      time.Time           `json:"begins,omitzero"` // when the oldest was observed that the log keeps
			Whole       bool                `json:"whole"`           // the log has not let go of any yet
			Revisions   []timeline.Revision `json:"revisions"`
		}{application, h.Begins, h.Whole, shown})
	}
	if len(shown) == 0 {
		_, err := fmt.Fprintf(w, "No revision of %s since then; the newest is of %s.\n", application, minute(h.Revisions[0].Observed))
		return err
	}
	t := historyTable{out: w, paint: painter(w), clusters: severalClusters(h.Revisions), now: now}
	t.line(faint, "WHEN", "COMMIT", "OUTCOME", "TOOK", "SEEN BY", "AUTHOR", "TITLE")
	for _, r := range shown {
		t.revision(r)
	}
	_, err := fmt.Fprintf(w, "\n%s\n", begins(h, len(shown)))
	return err
}

// begins says where history begins, and how much of it is not shown.
func begins(h timeline.History, shown int) string {
	text := ""
	if left := len(h.Revisions) - shown; left > 0 {
		text = fmt.Sprintf("%d more: --limit 0 shows all. ", left)
	}
	switch {
	case h.Begins.IsZero():
		return text + "The log keeps no observation of a commit any more."
	case h.Whole:
		return text + fmt.Sprintf("It begins at %s, with the first that this log was told.", minute(h.Begins))
	}
	return text + fmt.Sprintf("It begins at %s: the log keeps %d events of each kind and application.", minute(h.Begins), kept)
}

func severalClusters(all []timeline.Revision) bool {
	return slices.ContainsFunc(all, func(r timeline.Revision) bool { return r.Cluster != all[0].Cluster })
}

// minute is a moment as a table shows it.
func minute(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// historyTable prints revisions, a line each, and a second one for what went
// wrong.
type historyTable struct {
	out      io.Writer
	paint    paint
	clusters bool // there are several: each line says which
	now      time.Time
}

func (t historyTable) line(colour, when, commit, outcome, took, trigger, author, title string) {
	const columns = 16 + 12 + 11 + 7 + 7 + 12 + 6*2
	text := pad(when, 16) + "  " + pad(commit, 12) + "  " + t.paint.in(colour, pad(outcome, 11)) + "  " + pad(took, 7) + "  " +
		pad(fit(trigger, 7), 7) + "  " + pad(middle(author, 12), 12) + "  " + fit(title, width-columns)
	fmt.Fprintln(t.out, strings.TrimRight(text, " "))
}

func (t historyTable) revision(r timeline.Revision) {
	const indent = 18
	when := minute(r.Observed)
	if r.Partial {
		when = "before"
	}
	trigger := r.Trigger
	if r.Cause == "declaration" {
		trigger = "fleet" // its declaration changed, not the commit
	}
	t.line(colourOfOutcome(r.Outcome), when, status.Short(r.Commit), string(r.Outcome), tookOf(r, t.now), or(trigger, "-"), or(printable(r.Author), "-"), printable(r.Title))
	text := r.Message
	if r.Reason != "" {
		text = string(r.Reason) + ": " + text
	}
	if r.By != "" {
		text += ": " + status.Short(r.By)
	}
	if t.clusters {
		text = strings.TrimSuffix("on "+r.Cluster+": "+text, ": ")
	}
	if text == "" || r.Outcome == timeline.Unknown {
		return
	}
	for _, line := range wrap(printable(text), width-indent) {
		fmt.Fprintln(t.out, strings.Repeat(" ", indent)+line)
	}
}
