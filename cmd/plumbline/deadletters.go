// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/plumbline-dev/plumbline/docs/playbooks"
	"github.com/plumbline-dev/plumbline/events"
	blobs "github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/status"
)

const deadLettersHelp = `Shows inputs that a service did not take, and tries them again.

  waiting   it failed too often and was counted out, so that others go on; it comes
            again by itself, ever more rarely. 'retry' has it tried now
  aside     it can't be read, or is on the wrong subject: it was put aside for good
  replaced  a newer message is on its subject: nobody needs it any more
  taken     its service has taken it after all

Nothing is lost by a dead letter: services work from the newest of each kind, and
look at all of that when they start, every 10 minutes, and when they are asked to.`

const deadLettersExample = `  plumbline dead-letters list
  plumbline dead-letters show 5f2c
  plumbline dead-letters show 5f2c --original > message.json
  plumbline dead-letters retry 5f2c`

func deadLettersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "dead-letters",
		GroupID: "ask",
		Short:   "Show inputs that a service did not take, and try them again",
		Long:    deadLettersHelp,
		Example: deadLettersExample,
		Args:    onlyCommands,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(deadLettersList(), deadLettersShow(), deadLettersRetry())
	return cmd
}

func deadLettersList() *cobra.Command {
	var at target
	var out format
	var all bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List dead letters that are waiting or aside",
		Long:    "Lists inputs that a service did not take, the newest first. --all lists those too that\nwere replaced by a newer message, or taken after all.",
		Example: "  plumbline dead-letters list\n  plumbline dead-letters list --all -o json",
		Args:    between(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDeadLetters(cmd, at, func(_ sight, letters []deadLetter) error {
				if !all {
					letters = slices.DeleteFunc(letters, func(l deadLetter) bool { return l.fate == fateReplaced || l.fate == fateTaken })
				}
				return printDeadLetters(cmd.OutOrStdout(), out, letters, clock())
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "those that are over, too")
	at.flags(cmd)
	out.flags(cmd)
	return cmd
}

func deadLettersShow() *cobra.Command {
	var at target
	var out format
	var raw bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a dead letter: why, and the original",
		Long:    "Shows why a service did not take an input, and the input as it came. ID is in the list;\nat least 4 digits of it are enough. --original writes the input alone, byte for byte.",
		Example: "  plumbline dead-letters show 5f2c\n  plumbline dead-letters show 5f2c --original > message.json",
		Args:    between(1, 1, "one ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDeadLetters(cmd, at, func(now sight, letters []deadLetter) error {
				l, err := findDeadLetter(letters, args[0])
				if err != nil {
					return err
				}
				body, err := l.read(now.ctx, now.conn)
				if raw {
					if err == nil {
						_, err = cmd.OutOrStdout().Write(body)
					}
					return err
				}
				if err != nil && !errors.Is(err, errNoOriginal) {
					return err
				}
				return printDeadLetter(cmd.OutOrStdout(), out, l, body, err, clock())
			})
		},
	}
	cmd.Flags().BoolVar(&raw, "original", false, "the input alone, byte for byte")
	at.flags(cmd)
	out.flags(cmd)
	return cmd
}

func deadLettersRetry() *cobra.Command {
	var at target
	var out format
	cmd := &cobra.Command{
		Use:   "retry ID",
		Short: "Have a dead letter tried again now",
		Long: `Asks its service to look again, now, at what the input was about, and to do what is
due: what 'plumbline sync' asks of that application. The input itself is not
published again: only its publisher may. What can't be read can't be retried; it is
said what to do instead.`,
		Example: "  plumbline dead-letters retry 5f2c\n  plumbline dead-letters retry 5f2c && plumbline events --follow",
		Args:    between(1, 1, "one ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDeadLetters(cmd, at, func(now sight, letters []deadLetter) error {
				l, err := findDeadLetter(letters, args[0])
				if err != nil {
					return err
				}
				draft, said, err := l.retry()
				if err != nil {
					return err
				}
				return ask(cmd, now, out, draft, said)
			})
		},
	}
	at.flags(cmd)
	out.flags(cmd)
	return cmd
}

// withDeadLetters connects and reads the dead letters.
func withDeadLetters(cmd *cobra.Command, at target, do func(sight, []deadLetter) error) error {
	now, err := at.reach(cmd.Context(), cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer now.end()
	all, err := readDeadLetters(now.ctx, now.conn)
	if err != nil {
		return err
	}
	return do(now, all)
}

// errNoOriginal says that the input as it came can't be shown.
var errNoOriginal = errors.New("the input can't be shown")

// read reads the input as it came.
func (l deadLetter) read(ctx context.Context, conn *bus.Conn) ([]byte, error) {
	if l.original != nil {
		body, err := conn.Blobs().Get(ctx, *l.original)
		if errors.Is(err, blobs.ErrMissing) {
			return nil, fmt.Errorf("%w: it is no longer stored", errNoOriginal)
		}
		return body, err
	}
	if l.subject == "" {
		return nil, fmt.Errorf("%w: it was no message, but what the %s observed itself", errNoOriginal, l.service)
	}
	var body []byte
	found := errors.New("found")
	_, err := conn.Read(ctx, bus.Range{Filter: l.subject, From: max(l.stored, 1)}, func(r bus.Record) error {
		if l.input == "" || r.Event.ID == l.input {
			body = r.Body
			return found
		}
		return nil
	})
	if errors.Is(err, found) {
		return body, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: the log no longer keeps it", errNoOriginal)
}

func printDeadLetters(w io.Writer, out format, all []deadLetter, now time.Time) error {
	if out == formatJSON {
		list := make([]deadLetterJSON, 0, len(all))
		for _, l := range all {
			list = append(list, l.json())
		}
		return printJSON(w, list)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "There is no dead letter; --all lists those that are over.")
		return err
	}
	paint := painter(w)
	row := func(colour, id, since, service, fate, app, text string) {
		const rest = width - 12 - 4 - 9 - 8 - 20 - 5*2
		line := pad(id, 12) + "  " + pad(since, 4) + "  " + pad(fit(printable(service), 9), 9) + "  " + paint.in(colour, pad(fate, 8)) + "  " +
			pad(middle(printable(app), 20), 20) + "  " + fit(printable(text), rest)
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	row(faint, "ID", "AGE", "SERVICE", "STATE", "APPLICATION", "WHY")
	for _, l := range all {
		row(l.colour(), status.Short(l.id()), age(now.Sub(l.told.Time)), l.service, string(l.fate), or(l.told.Application, "-"), string(l.reason)+": "+l.message)
	}
	return nil
}

func (l deadLetter) colour() string {
	switch l.fate {
	case fateWaiting:
		return yellow
	case fateAside:
		return red
	}
	return faint
}

func printDeadLetter(w io.Writer, out format, l deadLetter, body []byte, missing error, now time.Time) error {
	if out == formatJSON {
		j := l.json()
		if utf8.Valid(body) {
			j.Original = string(body)
		} else {
			j.OriginalBytes = body
		}
		return printJSON(w, j)
	}
	fmt.Fprintf(w, "%s: %s, by the %s %s ago\n", l.id(), painter(w).in(l.colour(), string(l.fate)), l.service, age(now.Sub(l.told.Time)))
	d := details{w}
	d.line("reason", string(l.reason))
	d.line("message", l.message)
	d.line("about", l.told.Application)
	d.line("subject", or(l.subject, "none: it is what the service observed itself"))
	if l.stored > 0 {
		d.line("place", fmt.Sprintf("%d in the log", l.stored))
	}
	if l.attempts > 0 {
		d.line("attempts", fmt.Sprint(l.attempts))
	}
	d.whole("playbook", playbooks.URL(playbooks.DefaultBase, playbooks.Of(l.told)))
	if _, said, err := l.retry(); err != nil {
		d.line("retry", err.Error())
	} else if said != "" {
		d.whole("retry", "plumbline dead-letters retry "+status.Short(l.id()))
	}
	if missing != nil {
		d.line("original", missing.Error())
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s\n", legible(body))
	return err
}

// legible is an input as people can read it, and as a terminal takes no harm
// from it.
func legible(body []byte) string {
	var indented bytes.Buffer
	if json.Indent(&indented, body, "", "  ") == nil {
		body = indented.Bytes()
	}
	const most = 64 << 10
	more := ""
	if len(body) > most {
		body, more = body[:most], "\n… --original writes all of it"
	}
	lines := strings.Split(strings.ToValidUTF8(string(body), "�"), "\n")
	for i := range lines {
		lines[i] = printable(strings.TrimSuffix(lines[i], "\r"))
	}
	return strings.Join(lines, "\n") + more
}

// deadLetterJSON is what -o json tells of a dead letter.
type deadLetterJSON struct {
	ID          string        `json:"id"`    // to name it by
	Event       string        `json:"event"` // id of the event that says so
	State       fate          `json:"state"`
	When        time.Time     `json:"when"`
	Service     string        `json:"service"`
	Application string        `json:"application,omitempty"`
	Cluster     string        `json:"cluster,omitempty"`
	Reason      events.Reason `json:"reason"`
	Message     string        `json:"message"`
	Subject     string        `json:"subject,omitempty"`
	Stored      uint64        `json:"stored,omitempty"`
	Attempts    int           `json:"attempts,omitempty"`
	Retry       bool          `json:"retry"` // whether it may be retried
	Instead     string        `json:"instead,omitempty"`
	// Original is the input where it is text, OriginalBytes, in base64, where not.
	Original      string `json:"original,omitempty"`
	OriginalBytes []byte `json:"originalBytes,omitempty"`
}

func (l deadLetter) json() deadLetterJSON {
	j := deadLetterJSON{
		ID: l.id(), Event: l.told.ID, State: l.fate, When: l.told.Time, Service: l.service, Application: l.told.Application, Cluster: l.told.Cluster,
		Reason: l.reason, Message: l.message, Subject: l.subject, Stored: l.stored, Attempts: l.attempts, Retry: true,
	}
	if _, _, err := l.retry(); err != nil {
		j.Retry, j.Instead = false, err.Error()
	}
	return j
}
