// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/status"
)

// sight is a connection and how things stand now.
type sight struct {
	ctx  context.Context // as long as a command may read
	conn *bus.Conn
	view *status.View
	end  func()
}

// reach connects, and reads nothing yet. The caller ends it.
func (t *target) reach(ctx context.Context, stderr io.Writer) (sight, error) {
	conn, err := t.connect(ctx, stderr)
	if err != nil {
		return sight{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, reading)
	return sight{ctx: ctx, conn: conn, view: &status.View{}, end: func() { cancel(); conn.Close() }}, nil
}

// look connects and reads how every application stands. The caller ends it.
func (t *target) look(ctx context.Context, stderr io.Writer) (sight, error) {
	s, err := t.reach(ctx, stderr)
	if err != nil {
		return sight{}, err
	}
	if err := readView(s.ctx, s.conn, s.view, 0, "plumbline.v1.>"); err != nil {
		s.end()
		return sight{}, err
	}
	return s, nil
}

// latest is how every application stands.
func latest(ctx context.Context, conn *bus.Conn) (*status.View, error) {
	var view status.View
	return &view, readView(ctx, conn, &view, 0, "plumbline.v1.>")
}

// readView adds the last event on each subject that a filter matches, and the
// fleet lists that they name, to a view. until, where set, is the last place in
// the log to look at: what comes after it is for who follows.
func readView(ctx context.Context, conn *bus.Conn, view *status.View, until uint64, filters ...string) error {
	records, err := conn.Latest(ctx, filters...)
	if err != nil {
		return err
	}
	add := addTo(view, until)
	for _, r := range records {
		add(r)
	}
	return readLists(ctx, conn, view)
}

// addTo adds what can be read, up to a place in the log, to a view.
func addTo(view *status.View, until uint64) func(bus.Record) {
	return func(r bus.Record) {
		if r.Err == nil && (until == 0 || r.Stored <= until) {
			view.Add(r.Event)
		}
	}
}

// each is take as [bus.Conn.Read] wants it: it takes every record.
func each(take func(bus.Record)) func(bus.Record) error {
	return func(r bus.Record) error {
		take(r)
		return nil
	}
}

// readLists gives the view the fleet lists that it lacks.
func readLists(ctx context.Context, conn *bus.Conn, view *status.View) error {
	return fleetLists(ctx, conn, view.Missing(), view.Declare)
}

// fleetLists reads the fleet lists that a view lacks. One that is gone has been
// replaced meanwhile, or is being sent again: the view does without.
func fleetLists(ctx context.Context, conn *bus.Conn, missing []events.Blob, declare func(events.Blob, []events.FleetEntry)) error {
	for _, b := range missing {
		body, err := conn.Blobs().Get(ctx, b)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			continue
		}
		var entries []events.FleetEntry
		if err := json.Unmarshal(body, &entries); err != nil {
			return fmt.Errorf("read the fleet list %s: %w", b.Name, err)
		}
		declare(b, entries)
	}
	return nil
}
