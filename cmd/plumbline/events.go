// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

const eventsHelp = `Prints the events of the log, the oldest first.

Without --since it prints all that the log keeps (256 of each kind and
application), and with --follow only what comes from now on. With -o json each
line is one CloudEvent, as it lies on the bus.

Any NATS client sees the same: see README for 'nats sub' with the reader's key.`

const eventsExample = `  plumbline events --since 1h
  plumbline events --follow --app shop-web
  plumbline events --type 'divergence.*' -o json | jq .data.writer.manager`

// selection says which events to print.
type selection struct {
	follow bool
	since  lookback
	kind   string
	app    string
}

func eventsCommand() *cobra.Command {
	var at target
	var out format
	var sel selection
	cmd := &cobra.Command{
		Use:     "events",
		GroupID: "ask",
		Short:   "Print events, and follow them",
		Long:    eventsHelp,
		Example: eventsExample,
		Args:    between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := sel.check(); err != nil {
				return err
			}
			conn, err := at.connect(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer conn.Close()
			p := &eventPrinter{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), format: out, colours: painter(cmd.OutOrStdout())}
			return sel.print(cmd.Context(), conn, p)
		},
	}
	cmd.Flags().BoolVarP(&sel.follow, "follow", "f", false, "go on with what comes, until interrupted")
	cmd.Flags().Var(&sel.since, "since", "how far back to begin, as 10m, 24h or 7d")
	cmd.Flags().StringVar(&sel.kind, "type", "*", "noun.verb, * and ? allowed, as 'divergence.*'")
	cmd.Flags().StringVar(&sel.app, "app", "", "only those about this application")
	at.flags(cmd)
	out.flags(cmd)
	return cmd
}

// check refuses what could match nothing.
func (s *selection) check() error {
	s.kind = strings.TrimSuffix(strings.TrimPrefix(s.kind, "dev.plumbline."), ".v1")
	var names []string
	for i := range events.Types {
		name := events.Types[i].Name()
		if ok, err := path.Match(s.kind, name); err != nil {
			return usagef("--type %q: %w", s.kind, err)
		} else if ok {
			return nil
		}
		names = append(names, name)
	}
	return usagef("--type %q is no type of event; there are %s", s.kind, strings.Join(names, ", "))
}

func (s *selection) print(ctx context.Context, conn *bus.Conn, p *eventPrinter) error {
	r := bus.Range{From: 1}
	switch {
	case s.since > 0:
		r = bus.Range{Since: clock().Add(-time.Duration(s.since))}
	case s.follow:
		l, err := conn.Log(ctx)
		if err != nil {
			return err
		}
		r.From = l.Last + 1
	}
	matches := 0
	each := func(r bus.Record) error {
		if !s.takes(r) {
			return nil
		}
		matches++
		return p.print(r)
	}
	if !s.follow {
		_, err := conn.Read(ctx, r, each)
		if err == nil && matches == 0 {
			fmt.Fprintln(p.err, "No event in the log matches; 'plumbline status' names the applications, and the log keeps 256 events of each kind and application.")
		}
		return err
	}
	err := conn.Follow(ctx, r, each)
	if ctx.Err() != nil {
		return nil // interrupted, as it is meant to end
	}
	return err
}

// takes tells by the subject, so that it works for what can't be decoded too.
func (s *selection) takes(r bus.Record) bool {
	t, address, err := events.ParseSubject(r.Subject)
	if err != nil {
		return s.kind == "*" && s.app == ""
	}
	matches, _ := path.Match(s.kind, t.Name()) // checked before
	return matches && (s.app == "" || s.app == address.Application)
}

// eventPrinter prints events as they come.
type eventPrinter struct {
	out, err io.Writer
	format   format
	colours  paint
	day      string // of the last line
}

func (p *eventPrinter) print(r bus.Record) error {
	if r.Err != nil {
		fmt.Fprintf(p.err, "plumbline: %s\n", printable(r.Err.Error()))
		return nil
	}
	if p.format == formatJSON {
		return p.printJSON(r)
	}
	const stamp, kind, app = "15:04:05", 22, 16
	const indent = len(stamp) + 2 + kind + 2 + app + 2
	when := r.Event.Time.Local()
	if day := when.Format("Monday 2 January 2006"); day != p.day {
		p.day = day
		fmt.Fprintln(p.out, p.colours.in(faint, day))
	}
	for i, text := range wrap(printable(summary(r.Event)), width-indent) {
		head := strings.Repeat(" ", indent)
		if i == 0 {
			head = p.colours.in(faint, when.Format(stamp)) + "  " +
				p.colours.in(colourOfEvent(r.Event.Type), pad(r.Event.Type.Name(), kind)) + "  " +
				pad(fit(printable(or(r.Event.Application, "-")), app), app) + "  "
		}
		if _, err := fmt.Fprintln(p.out, strings.TrimRight(head+text, " ")); err != nil {
			return err
		}
	}
	return nil
}

// printJSON prints the event as it lies on the bus, in one line; one in binary
// mode is written in structured mode.
func (p *eventPrinter) printJSON(r bus.Record) error {
	var line bytes.Buffer
	var envelope struct {
		SpecVersion string `json:"specversion"`
	}
	body := r.Body
	if err := json.Unmarshal(body, &envelope); err != nil || envelope.SpecVersion == "" {
		if _, body, err = events.Encode(r.Event); err != nil {
			return err
		}
	}
	if err := json.Compact(&line, body); err != nil {
		return err
	}
	line.WriteByte('\n')
	_, err := p.out.Write(line.Bytes())
	return err
}

func colourOfEvent(t *events.Type) string {
	switch t.Verb {
	case "failed", "rejected", "detected", "persisted", "degraded", "unreachable":
		return red
	case "completed", "resolved", "recovered":
		return green
	case "held":
		return yellow
	}
	return ""
}
