// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/status"
)

const waitHelp = `Waits until an application has come to a state, and says how.

It looks at how things stand first: what is so already needs no waiting. After a
push, give the commit, or the revision before it is taken for the answer.

  converged  the newest revision is applied and healthy, and nothing diverges;
             a revision that changed nothing counts, and so does a newer one.
             Without --commit also: its repository can be read, and its
             declaration is valid, as in 'plumbline status'
  failed     the newest revision, or that commit, can't be rendered or applied
  held       something waits for an approval
  diverged   live differs from Git
  resolved   nothing diverges

With --commit, a wait for converged ends with exit code 4 when that very commit
has failed, or makes the application's declaration invalid, and a wait for failed
when it has converged. Without --commit it
waits for better, or worse, news until the timeout. A commit that a later one
replaced before anybody looked is never observed: wait for the later one.`

const waitExample = `  git push && plumbline wait shop-web --for converged --commit "$(git rev-parse HEAD)"
  plumbline wait shop-web --for resolved --timeout 30s`

func waitCommand() *cobra.Command {
	var at target
	var out format
	var goal status.Goal
	var timeout time.Duration
	var aims []string
	for _, a := range status.Aims {
		aims = append(aims, string(a))
	}
	cmd := &cobra.Command{
		Use:     "wait APP --for " + strings.Join(aims, "|"),
		GroupID: "ask",
		Short:   "Wait until an application has converged, has failed, is held or diverges",
		Long:    waitHelp,
		Example: waitExample,
		Args:    between(1, 1, "one APP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			goal.Application = args[0]
			goal.Commit = strings.ToLower(goal.Commit)
			switch {
			case !slices.Contains(status.Aims, goal.For):
				return usagef("--for %q: want one of %s", goal.For, strings.Join(aims, ", "))
			case timeout <= 0:
				return usagef("--timeout %s: want how long to wait, as 5m", timeout)
			case goal.Commit != "" && (len(goal.Commit) < 4 || strings.Trim(goal.Commit, "0123456789abcdef") != ""):
				return usagef("--commit %q: want a commit id, or at least 4 digits of one; as from git rev-parse HEAD", goal.Commit)
			}
			conn, err := at.connect(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			w := waiting{goal: goal, conn: conn, stderr: cmd.ErrOrStderr()}
			outcome, err := w.wait(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				if out == formatJSON {
					if err := w.print(cmd.OutOrStdout(), "timeout"); err != nil {
						return err
					}
				}
				return &exit{exitTimeout, fmt.Errorf("not %s within %s: %s", goal.For, timeout, w.why)}
			}
			if err != nil {
				return err
			}
			return w.report(cmd.OutOrStdout(), out, outcome)
		},
	}
	cmd.Flags().StringVar((*string)(&goal.For), "for", string(status.ForConverged), strings.Join(aims, ", "))
	mustComplete(cmd, "for", aims...)
	cmd.Flags().StringVar(&goal.Commit, "commit", "", "wait for this commit, or a later revision")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait")
	at.flags(cmd)
	out.flags(cmd)
	return cmd
}

// waiting is one wait, from what is there to what comes.
type waiting struct {
	goal   status.Goal
	conn   *bus.Conn
	stderr io.Writer
	view   status.View
	why    string // how it stands, in words
}

// errReached ends the following.
var errReached = errors.New("reached")

func (w *waiting) wait(ctx context.Context) (status.Outcome, error) {
	l, err := w.conn.Log(ctx)
	if err != nil {
		return status.Waiting, err
	}
	return w.from(ctx, l.Last)
}

// from looks at how things stood at a place in the log and then at each event
// that came after it, one by one: what lasted for a moment alone is not missed.
func (w *waiting) from(ctx context.Context, last uint64) (status.Outcome, error) {
	if err := w.load(ctx, last); err != nil {
		return status.Waiting, err
	}
	outcome := w.look()
	if outcome != status.Waiting {
		return outcome, nil
	}
	err := w.conn.Follow(ctx, bus.Range{From: last + 1}, func(r bus.Record) error {
		if r.Err != nil {
			return nil
		}
		w.view.Add(r.Event)
		if err := readLists(ctx, w.conn, &w.view); err != nil {
			return err
		}
		if outcome = w.look(); outcome != status.Waiting {
			return errReached
		}
		return nil
	})
	if errors.Is(err, errReached) {
		return outcome, nil
	}
	return status.Waiting, err
}

// load reads how things stood at a place in the log: the last event of each
// subject of the application, its commits and failures, and what concerns
// sources and fleet.
func (w *waiting) load(ctx context.Context, last uint64) error {
	if last == 0 {
		return nil
	}
	app := events.EncodeToken(w.goal.Application)
	for _, kind := range []string{"commit.observed", "render.failed", "convergence.failed"} {
		if _, err := w.conn.Read(ctx, bus.Range{Filter: "plumbline.v1." + kind + ".*." + app}, each(addTo(&w.view, last))); err != nil {
			return err
		}
	}
	return readView(ctx, w.conn, &w.view, last, "plumbline.v1.*.*.*."+app, "plumbline.v1.*.*.*."+app+".*", "plumbline.v1.source.*.>", "plumbline.v1.fleet.*.>")
}

// look looks at the goal, and says on standard error what has changed.
func (w *waiting) look() status.Outcome {
	outcome, why := w.goal.Look(&w.view)
	if why != w.why && outcome == status.Waiting {
		fmt.Fprintln(w.stderr, printable(why))
	}
	w.why = why
	return outcome
}

func (w *waiting) report(stdout io.Writer, out format, outcome status.Outcome) error {
	if out == formatJSON {
		text := map[status.Outcome]string{status.Met: "met", status.Opposite: "opposite"}[outcome]
		if err := w.print(stdout, text); err != nil {
			return err
		}
	}
	if outcome == status.Opposite {
		return &exit{exitOpposite, errors.New(printable(w.why))}
	}
	if out == formatJSON {
		return nil
	}
	_, err := fmt.Fprintln(stdout, printable(w.why))
	return err
}

// print writes how it stands, as JSON.
func (w *waiting) print(stdout io.Writer, outcome string) error {
	all := w.view.Of(w.goal.Application)
	if all == nil {
		all = []status.Status{} // nothing is known of it
	}
	return printJSON(stdout, struct {
		Outcome string          `json:"outcome"` // met | opposite | timeout
		Message string          `json:"message"`
		Status  []status.Status `json:"status"`
	}{outcome, w.why, all})
}
