// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/events"
	blobs "github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/status"
)

const statusHelp = `Shows how each application stands, or one of them in detail.

Without APP it is a table of all of them, what needs attention first. --watch leaves
it open: on a terminal in place, else a line for whatever changes (with -o json an
object). It redraws on events and asks the bus for nothing meanwhile; while the bus
is away it says so and shows what was known.

The state is the worst of what is so:
  failed       the newest revision can't be rendered, or the cluster refuses it
  held         something waits for an approval, or for a valid declaration
  degraded     it had converged, then lost its health
  diverged     live differs from Git
  unreachable  its repository can't be read
  converging   the newest revision is on its way
  converged    live equals the newest revision, and is healthy`

func statusCommand() *cobra.Command {
	var at target
	var out format
	var watch bool
	cmd := &cobra.Command{
		Use:     "status [APP]",
		GroupID: "ask",
		Short:   "Show how applications stand",
		Long:    statusHelp,
		Example: "  plumbline status\n  plumbline status shop-web\n  plumbline status --watch\n  plumbline status -o json | jq -r '.[] | select(.state != \"converged\") | .application'",
		Args:    between(0, 1, "at most one APP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if watch {
				conn, err := at.connect(cmd.Context(), cmd.ErrOrStderr())
				if err != nil {
					return err
				}
				defer conn.Close()
				return watchStatus(cmd, conn, out, args)
			}
			now, err := at.look(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer now.end()
			view := now.view
			if len(args) == 0 {
				if err := printStatuses(cmd.OutOrStdout(), out, view.All(), clock()); err != nil || out == formatJSON {
					return err
				}
				return printRefusals(cmd.OutOrStdout(), view.Refusals(), clock())
			}
			one := view.Of(args[0])
			if len(one) == 0 {
				return unknown(view, args[0])
			}
			for i := range one {
				if err := readHeld(now, &one[i]); err != nil {
					return err
				}
			}
			return printDetails(cmd.OutOrStdout(), out, one, clock())
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "stay, and show what changes, until interrupted")
	at.flags(cmd)
	out.flags(cmd)
	return cmd
}

// unknown says which applications there are instead.
func unknown(view *status.View, name string) error {
	var names []string
	for _, s := range view.All() {
		names = append(names, s.Application)
	}
	if len(names) == 0 {
		return fmt.Errorf("no application %q is known, and no other either: has the fleet been read? See 'plumbline events'", name)
	}
	const most = 20
	if len(names) > most {
		names = append(names[:most], "…")
	}
	return fmt.Errorf("no application %q is known; there are: %s", name, strings.Join(names, ", "))
}

func printStatuses(w io.Writer, out format, all []status.Status, now time.Time) error {
	if out == formatJSON {
		if all == nil {
			all = []status.Status{}
		}
		return printJSON(w, all)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "No application is known yet: has the fleet been read? See 'plumbline events'.")
		return err
	}
	t := newStatusTable(all, width, painter(w))
	fmt.Fprintln(w, t.head())
	for _, s := range urgent(all) {
		fmt.Fprintln(w, t.row(s, now))
	}
	return nil
}

// printRefusals names what is refused in the fleet and is no application's.
func printRefusals(w io.Writer, all []status.Refusal, now time.Time) error {
	if len(all) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nRefused in the fleet, and holding no application:\n")
	for _, r := range all {
		details{w}.line("for "+age(now.Sub(r.Since)), r.Message)
	}
	return nil
}

// remark is what a line says after the state.
func remark(s status.Status) string {
	if s.OpenDivergences > 1 {
		return fmt.Sprintf("%d open divergences; %s", s.OpenDivergences, s.Message)
	}
	if s.Unaudited > 0 && s.Message == "" {
		return count(s.Unaudited, "object") + " not audited"
	}
	return s.Message
}

func printDetails(w io.Writer, out format, all []status.Status, now time.Time) error {
	if out == formatJSON {
		return printJSON(w, all)
	}
	colours := painter(w)
	for i, s := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		detail := details{w}
		fmt.Fprintf(w, "%s on %s: %s for %s\n", printable(s.Application), or(printable(s.Cluster), "an unknown cluster"),
			colours.in(colourOf(s.State), string(s.State)), age(now.Sub(s.Since)))
		detail.line("reason", string(s.Reason))
		detail.line("message", s.Message)
		detail.line("commit", strings.TrimSpace(s.Commit+"  "+s.Title))
		detail.line("bundle", s.Digest)
		if c := s.Converged; c != nil && (c.Commit != s.Commit || s.State != status.Converged) {
			detail.line("converged", fmt.Sprintf("%s, %s ago", c.Commit, age(now.Sub(c.When))))
		}
		detail.line("trace", s.TraceID)
		for _, d := range s.Divergences {
			object := d.Object
			if object == "" {
				object = "the pipeline"
			}
			detail.line("diverged", fmt.Sprintf("%s %s, for %s: %s", object, d.Kind, age(now.Sub(d.Since)), d.Message))
		}
		if s.Unaudited > 0 {
			text := s.WhyUnaudited()
			if s.Unaudited > 1 {
				text += fmt.Sprintf(" And %d more.", s.Unaudited-1)
			}
			detail.line("unaudited", text)
		}
		detail.line("held", heldText(s))
		if s.Hold != "" {
			detail.line("approve", fmt.Sprintf("plumbline approve %s %s", s.Application, status.Short(s.Hold)))
		}
	}
	return nil
}

// readHeld reads the names of what is held where they are many. What is no
// longer stored is counted alone.
func readHeld(now sight, s *status.Status) error {
	if s.HeldList == nil {
		return nil
	}
	body, err := now.conn.Blobs().Get(now.ctx, *s.HeldList)
	if errors.Is(err, blobs.ErrMissing) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what is held of %s: %w", s.Application, err)
	}
	var list []events.AppliedObject
	if err := json.Unmarshal(body, &list); err != nil {
		return fmt.Errorf("read what is held of %s: %w", s.Application, err)
	}
	s.Holds(list)
	return nil
}

// heldText names what is held; of many, the first.
func heldText(s status.Status) string {
	const most = 20
	var names []string
	for _, o := range s.HeldObjects[:min(len(s.HeldObjects), most)] {
		names = append(names, o.String())
	}
	switch more := s.HeldCount - len(names); {
	case len(names) == 0 && more > 0:
		return count(more, "object")
	case more > 0:
		names = append(names, fmt.Sprintf("and %d more (-o json names them)", more))
	}
	return strings.Join(names, ", ")
}

type details struct{ w io.Writer }

// line prints a named value under the application, and nothing for none.
func (d details) line(name, value string) {
	const indent = 13
	if value == "" {
		return
	}
	for i, text := range wrap(printable(value), width-indent) {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(d.w, "  %s%s\n", pad(name, indent-2), text)
	}
}

// whole prints what is to be copied: in one line, however long it is.
func (d details) whole(name, value string) {
	if value != "" {
		fmt.Fprintf(d.w, "  %s%s\n", pad(name, 11), printable(value))
	}
}

func colourOf(s status.State) string {
	switch s {
	case status.Converged:
		return green
	case status.Failed, status.Degraded, status.Diverged:
		return red
	case status.Withdrawn:
		return faint
	}
	return yellow
}

func or(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}
