// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// followBus records every event of the log, from each of its lives.
func (r *Recorder) followBus(ctx context.Context, url, creds string) error {
	conn, err := bus.Connect(ctx, bus.Config{URL: url, Creds: creds, User: "reader"}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		return err
	}
	r.done.Go(func() {
		defer conn.Close()
		t := &tail{Recorder: r, conn: conn, seen: map[string]bool{}}
		for r.ctx.Err() == nil {
			t.look(r.ctx)
			select {
			case <-r.ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	return nil
}

// tail reads on in the log.
type tail struct {
	*Recorder
	conn  *bus.Conn
	epoch string
	next  uint64
	seen  map[string]bool // ids: a log that was put back holds what was read
}

// look reads what is new. A log with another epoch is read from its beginning.
func (t *tail) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	log, err := t.conn.Log(ctx)
	if err != nil || log.Epoch == "" {
		return // it is away: the next look finds what there is
	}
	if log.Epoch != t.epoch {
		t.epoch, t.next = log.Epoch, 1
		t.add(Record{Log: &Log{Epoch: log.Epoch, Last: log.Last}})
	}
	next, err := t.conn.Read(ctx, bus.Range{From: t.next}, func(record bus.Record) error {
		if record.Err != nil {
			t.add(Record{Note: "not an event on " + record.Subject + ": " + record.Err.Error()})
			return nil
		}
		if e := record.Event; !t.seen[e.ID] {
			t.seen[e.ID] = true
			seen := eventOf(e, t.epoch)
			t.add(Record{Event: &seen})
		}
		return nil
	})
	if err == nil || next > t.next {
		t.next = max(next, t.next)
	}
	if err == nil {
		t.looked()
	}
}

// looked counts that all that was in the log when a look began is recorded.
func (r *Recorder) looked() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks++
}

// catchUp waits until everything that is in the log now is recorded.
func (r *Recorder) catchUp(ctx context.Context) error {
	count := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.looks
	}
	for from := count(); count() < from+2; { // the next look may have begun before
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("read the log to its end: %w", err)
		}
	}
	return nil
}

// eventOf picks from an event what the checker needs.
func eventOf(e events.Event, log string) Event {
	s := Event{
		ID: e.ID, Type: e.Type.Name(), App: e.Application, Key: e.Key, Epoch: e.Epoch, Sequence: e.Sequence,
		Log: log, Stored: e.Stored, Time: e.Time,
	}
	switch d := e.Data.(type) {
	case *events.CommitObserved:
		s.Commit = d.Revision.Commit
	case *events.CommitRejected:
		s.Commit, s.Reason = d.Commit, string(d.Reason)
	case *events.ManifestsRendered:
		s.Commit, s.Digest = d.Revision.Commit, d.Digest
	case *events.ManifestsUnchanged:
		s.Commit, s.Digest = d.Revision.Commit, d.Digest
	case *events.RenderFailed:
		s.Commit, s.Reason, s.Message = d.Revision.Commit, string(d.Reason), d.Message
	case *events.ConvergenceApplied:
		s.converging(d.Converging)
		for _, o := range d.Objects.Items {
			if o.Action == events.ActionPruned {
				s.Objects = append(s.Objects, o.Key())
			}
		}
	case *events.ConvergenceCompleted:
		s.converging(d.Converging)
	case *events.ConvergenceFailed:
		s.converging(d.Converging)
		s.Reason, s.Message = string(d.Reason), d.Message
		for _, f := range d.Failures {
			s.Objects = append(s.Objects, f.Key())
		}
	case *events.ConvergenceDegraded:
		s.converging(d.Converging)
		s.Reason, s.Message = string(d.Reason), d.Message
	case *events.ConvergenceHeld:
		s.converging(d.Converging)
		s.Reason, s.Message, s.Hold, s.Objects = string(d.Reason), d.Message, d.Hold, keysOf(d.Objects)
	case *events.ConvergenceSuperseded:
		s.converging(d.Converging)
		s.By = d.By
	case *events.ApplicationWithdrawn:
		s.Outcome, s.Reason, s.Message, s.Hold, s.Objects = string(d.Outcome), string(d.Reason), d.Message, d.Hold, keysOf(d.Objects)
	case *events.ApprovalGiven:
		s.Hold = d.Hold
	case *events.MessageRejected:
		s.Reason, s.Message = string(d.Reason), d.Service+": "+d.Message
	case *events.SourceUnreachable:
		s.Reason, s.Message = string(d.Reason), d.Message
	case *events.AlertDelivered:
		s.Alert = &Alert{Thread: d.Thread, Message: d.Message, Event: d.Event, Resolved: d.Resolved, Digest: d.Digest}
	case *events.DivergenceDetected:
		s.divergence(d.Divergence)
	case *events.DivergencePersisted:
		s.divergence(d.Divergence)
		s.After = d.After.Std()
	case *events.DivergenceResolved:
		s.divergence(d.Divergence)
		s.After, s.How, s.Persisted = d.After.Std(), d.How, d.Persisted
	}
	return s
}

func (s *Event) converging(c events.Converging) {
	s.Commit, s.Digest, s.Outcome = c.Revision.Commit, c.Digest, c.Cause
}

func (s *Event) divergence(d events.Divergence) {
	s.Kind, s.Since, s.Message = string(d.Kind), d.Since, d.Message
	if d.Object != nil {
		s.Objects = []string{d.Object.Key()}
	}
}

func keysOf(list events.AppliedObjects) []string {
	var keys []string
	for _, o := range list.Items {
		keys = append(keys, o.Key())
	}
	return keys
}
