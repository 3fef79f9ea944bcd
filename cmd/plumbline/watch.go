// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/status"
)

const (
	// redrawEvery and appendEvery are how often what changed is shown at most,
	// however fast events come.
	redrawEvery = 250 * time.Millisecond
	appendEvery = time.Second
	// looking is how often the connection, and the ages on a terminal, are
	// looked at. It asks the bus for nothing.
	looking = time.Second
	// relisting is how long a fleet list may take to be read.
	relisting = 5 * time.Second
)

// standing is how applications stand, what needs attention first.
type standing struct {
	all  []status.Status
	gone []status.Status // that were there before
	// refused counts what is refused in the fleet and holds no application.
	refused int
}

// display shows how applications stand.
type display interface {
	show(standing, time.Time) error
	// away says that the bus doesn't answer, and why; nil: it does again.
	away(why error, now time.Time) error
	// pass is called as time passes and nothing happens.
	pass(now time.Time) error
	// close leaves what was shown last.
	close()
}

// watchStatus follows how applications stand until it is interrupted.
func watchStatus(cmd *cobra.Command, conn *bus.Conn, out format, args []string) error {
	w := watching{conn: conn, every: appendEvery}
	if len(args) > 0 {
		w.only = args[0]
	}
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	f, isFile := stdout.(*os.File)
	switch {
	case out == formatJSON:
		w.display = &appender{out: stdout, err: stderr, print: func(s status.Status, _ time.Time) error { return printJSON(stdout, s) }}
	case isFile && term.IsTerminal(int(f.Fd())):
		w.every = redrawEvery
		w.display = newScreen(f, func() (int, int, error) { return term.GetSize(int(f.Fd())) })
	default:
		w.display = newLines(stdout, stderr)
	}
	defer w.display.close()
	return w.run(cmd.Context())
}

// watching keeps a view up to date and has it shown, often enough and no more
// often. Everything in it belongs to the goroutine of run.
type watching struct {
	conn    *bus.Conn
	only    string // the one application to watch; empty: all
	every   time.Duration
	display display

	view   *status.View
	shown  map[string]status.Status
	log    bus.Log
	last   uint64 // where the newest event that was read is stored
	stop   context.CancelFunc
	news   chan news // of what is followed now
	failed chan error
	missed error     // why the bus is away
	turned time.Time // when all was read again for another life of the log
}

// news is how all stood at a place of the log, or an event after it.
type news struct {
	view   *status.View
	log    bus.Log
	record bus.Record
}

func (w *watching) run(ctx context.Context) error {
	tick := time.NewTicker(looking)
	defer tick.Stop()
	var due <-chan time.Time
	var next time.Time // when it may be shown again
	w.load(ctx)
	defer func() { w.stop() }()
	for {
		changed := false
		select {
		case <-ctx.Done():
			return nil // interrupted, as it is meant to end
		case err := <-w.failed:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case n := <-w.news:
			if n.view != nil {
				w.view, w.log, w.last, changed = n.view, n.log, n.log.Last, true
			} else {
				changed = w.take(ctx, n.record)
			}
		case <-tick.C:
			if err := w.look(ctx); err != nil {
				return err
			}
		case <-due:
			due = nil
			begun := time.Now()
			if err := w.show(ctx); err != nil {
				return err
			}
			// What is costly to show is shown more rarely.
			next = time.Now().Add(max(w.every, 10*time.Since(begun)))
		}
		if changed && due == nil {
			due = time.After(max(0, time.Until(next)))
		}
	}
}

// load reads how all stands, and follows from there. What was followed before
// is given up.
func (w *watching) load(ctx context.Context) {
	if w.stop != nil {
		w.stop()
	}
	ctx, w.stop = context.WithCancel(ctx)
	all, failed := make(chan news, 256), make(chan error, 1)
	w.news, w.failed = all, failed
	go func() {
		l, err := w.conn.Log(ctx)
		if err != nil {
			failed <- err
			return
		}
		view, err := latest(ctx, w.conn)
		if err != nil {
			failed <- err
			return
		}
		all <- news{view: view, log: l}
		failed <- w.conn.Follow(ctx, bus.Range{From: l.Last + 1}, func(r bus.Record) error {
			select {
			case all <- news{record: r}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
}

// take takes one event. A log that has begun anew is read from its beginning:
// what was known of the one before is of another life.
func (w *watching) take(ctx context.Context, r bus.Record) (changed bool) {
	another := r.Err == nil && r.Event.Epoch != w.log.Epoch && time.Since(w.turned) > 10*time.Second
	if r.Stored <= w.last || another {
		w.turned = time.Now()
		w.load(ctx)
		return false
	}
	w.last = r.Stored
	if r.Err != nil {
		return false
	}
	w.view.Add(r.Event)
	return true
}

// look looks whether the bus is there.
func (w *watching) look(ctx context.Context) error {
	now := clock()
	why := w.conn.Ready()
	was := w.missed
	w.missed = why
	switch {
	case (why == nil) != (was == nil):
		if why == nil {
			w.load(ctx) // the log may be another one
		}
		return w.display.away(absence(why), now)
	case w.view != nil:
		return w.display.pass(now)
	}
	return nil
}

// absence says for people that the bus is away, and why.
func absence(why error) error {
	const says = "the bus does not answer"
	if why == nil || strings.Contains(why.Error(), says) {
		return why
	}
	return fmt.Errorf("%s (%w)", says, why)
}

// show has all shown as it stands now.
func (w *watching) show(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, relisting)
	defer cancel()
	if err := readLists(ctx, w.conn, w.view); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	all := w.view.All()
	if w.only != "" {
		all = w.view.Of(w.only)
		if len(all) == 0 && w.shown == nil {
			return unknown(w.view, w.only)
		}
	}
	shown := make(map[string]status.Status, len(all))
	for _, s := range all {
		shown[nameOfStatus(s)] = s
	}
	var gone []status.Status
	for name, s := range w.shown {
		if _, there := shown[name]; there {
			continue
		}
		end := status.Status{Application: s.Application, Cluster: s.Cluster, State: status.Withdrawn, Since: clock()}
		for _, now := range w.view.Of(s.Application) {
			if nameOfStatus(now) == name {
				end = now
			}
		}
		gone = append(gone, end)
	}
	w.shown = shown
	return w.display.show(standing{urgent(all), urgent(gone), len(w.view.Refusals())}, clock())
}

func nameOfStatus(s status.Status) string { return s.Cluster + "/" + s.Application }

// appender prints whatever has changed, one after the other.
type appender struct {
	out, err io.Writer
	print    func(status.Status, time.Time) error
	known    map[string]status.Status
}

func newLines(out, err io.Writer) *appender {
	c := &appender{out: out, err: err}
	var table *statusTable
	c.print = func(s status.Status, now time.Time) error {
		if table == nil {
			t := newStatusTable([]status.Status{{Application: fmt.Sprintf("%28s", ""), Cluster: fmt.Sprintf("%14s", "")}}, width, painter(out))
			table = &t
			fmt.Fprintln(out, t.head())
		}
		_, err := fmt.Fprintln(out, table.row(s, now))
		return err
	}
	return c
}

func (c *appender) show(how standing, now time.Time) error {
	if c.known == nil {
		c.known = map[string]status.Status{}
	}
	for _, s := range slices.Concat(how.all, how.gone) {
		before, known := c.known[nameOfStatus(s)]
		c.known[nameOfStatus(s)] = s
		if known && sameStatus(before, s) {
			continue
		}
		if err := c.print(s, now); err != nil {
			return err
		}
	}
	for _, s := range how.gone {
		delete(c.known, nameOfStatus(s))
	}
	return nil
}

// sameStatus reports whether there is nothing new to tell.
func sameStatus(a, b status.Status) bool {
	return a.State == b.State && a.Commit == b.Commit && a.Digest == b.Digest && a.Reason == b.Reason && a.Message == b.Message &&
		a.OpenDivergences == b.OpenDivergences && a.Hold == b.Hold && a.Unaudited == b.Unaudited && a.Since.Equal(b.Since)
}

func (c *appender) away(why error, now time.Time) error {
	text := "the bus is back"
	if why != nil {
		text = why.Error() + "; waiting for it"
	}
	_, err := fmt.Fprintf(c.err, "%s %s\n", now.Local().Format("15:04:05"), printable(text))
	return err
}

func (c *appender) pass(time.Time) error { return nil }
func (c *appender) close()               {}
