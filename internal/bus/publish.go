// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/plumbline-dev/plumbline/events"
)

// ErrConflict says that an Expectation doesn't hold: another event came first.
var ErrConflict = errors.New("another event came first")

// Publish publishes what an observation led to and returns the events once
// they are stored, in order. An event that is in the log already, under its
// id, is not stored again.
//
// Its error wraps [ErrConflict] where an Expectation doesn't hold; the drafts
// before that one are stored then. Where one of the drafts can't be an event, as
// it is too large, none is stored.
func (c *Conn) Publish(ctx context.Context, cause events.Cause, drafts ...events.Draft) ([]events.Event, error) {
	published, _, err := c.publish(ctx, cause, stageOf(cause), drafts)
	return published, err
}

// stage encloses the work that led to an event.
type stage struct{ start, end time.Time }

// stageOf is the stage of an observation, which ends now.
func stageOf(cause events.Cause) stage {
	s := stage{cause.Began, time.Now()}
	if s.start.IsZero() {
		s.start = s.end
	}
	return s
}

// publish is [Conn.Publish]; fresh says that none of the events was in the log
// before.
func (c *Conn) publish(ctx context.Context, cause events.Cause, s stage, drafts []events.Draft) (published []events.Event, fresh bool, err error) {
	if cause.Traceparent == "" && len(drafts) > 0 {
		var span trace.Span
		ctx, span, cause.Traceparent = c.beginTrace(ctx, newTraceparent(cause.ID), drafts[0], s)
		defer func() { endTrace(span, err) }()
	}
	at := &moment{conn: c}
	var letters []letter
	defer func() {
		for _, l := range letters[len(published):] { // what was not sent
			endTrace(l.span, err)
		}
	}()
	for _, d := range drafts {
		l, err := c.write(ctx, cause, s, d, at)
		if err != nil {
			return nil, false, err
		}
		letters = append(letters, l)
	}
	fresh = true
	for _, l := range letters {
		e, duplicate, err := c.put(l.ctx, l)
		if err != nil {
			return published, false, err
		}
		endTrace(l.span, nil)
		published, fresh = append(published, e), fresh && !duplicate
	}
	return published, fresh, nil
}

// letter is an event and the message that carries it.
type letter struct {
	event   events.Event
	message *nats.Msg
	life    string          // of the log, as it was known before the message was sent
	ctx     context.Context // of its trace
	span    trace.Span      // the first of the trace that it begins; nil: it begins none
}

// write makes the event that a draft stands for and encodes it, in its cause's
// trace or in one that it begins.
func (c *Conn) write(ctx context.Context, cause events.Cause, s stage, d events.Draft, at *moment) (l letter, err error) {
	l.ctx = ctx
	if l.event, err = c.event(ctx, cause, s, d, at); err != nil {
		return l, err
	}
	if d.Begins != "" {
		l.ctx, l.span, l.event.Traceparent = c.beginTrace(ctx, newTraceparent(l.event.ID), d, s)
	}
	if l.message, err = message(l.event, d.Expect); err != nil {
		endTrace(l.span, err)
	}
	l.life = c.epoch.last()
	return l, err
}

// message encodes e.
func message(e events.Event, expect *events.Expectation) (*nats.Msg, error) {
	headers, body, err := events.Encode(e)
	if err != nil {
		return nil, err
	}
	m := &nats.Msg{Subject: e.Type.Subject(e.Address), Header: headers, Data: body}
	m.Header.Set(nats.MsgIdHdr, e.ID)
	if expect != nil {
		m.Header.Set(nats.ExpectedLastSubjSeqHdr, strconv.FormatUint(expect.Last, 10))
		if expect.Filter != "" {
			m.Header.Set("Nats-Expected-Last-Subject-Sequence-Subject", expect.Filter)
		}
	}
	return m, nil
}

// moment is the log as it is while one call publishes: asked for at most once.
type moment struct {
	conn  *Conn
	epoch string // empty: not asked yet
}

// now is the epoch of the log, asked for after the call began.
func (m *moment) now(ctx context.Context) (string, error) {
	if m.epoch == "" {
		l, err := m.conn.Log(ctx)
		if err != nil {
			return "", err
		}
		m.epoch = l.Epoch
	}
	return m.epoch, nil
}

// event makes the event that a draft stands for.
func (c *Conn) event(ctx context.Context, cause events.Cause, s stage, d events.Draft, at *moment) (events.Event, error) {
	t := events.TypeOf(d.Data)
	e := events.Event{
		ID:            events.ID(cause, t, d.Address, d.Variant),
		Source:        events.Source(c.cfg.Service, c.cfg.Cluster),
		Version:       c.cfg.Version,
		Type:          t,
		Address:       d.Address,
		Time:          d.Time,
		Epoch:         cause.Epoch,
		Sequence:      cause.Sequence,
		Traceparent:   first(d.Trace, cause.Traceparent),
		CorrelationID: first(d.Correlation, cause.Correlation),
		CausationID:   cause.ID,
		StageStart:    s.start,
		StageEnd:      s.end,
		Data:          d.Data,
	}
	if e.Time.IsZero() {
		e.Time = s.start
	}
	if d.Revision != (events.Order{}) {
		e.Epoch, e.Sequence = d.Revision.Epoch, d.Revision.Sequence
	}
	if placesRevision(t) { // its own place is in the log as it is now
		epoch, err := at.now(ctx)
		if err != nil {
			return events.Event{}, err
		}
		e.Epoch, e.Sequence = epoch, 0
	}
	if e.Epoch == "" {
		epoch, err := c.currentEpoch(ctx)
		if err != nil {
			return events.Event{}, err
		}
		e.Epoch = epoch
	}
	return e, nil
}

// placesRevision says that an event's own place in the log is the sequence of
// the revision that it announces.
func placesRevision(t *events.Type) bool { return t.Name() == "commit.observed" }

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// put stores an event and fills in where it is; duplicate says that it was there
// already.
func (c *Conn) put(ctx context.Context, l letter) (e events.Event, duplicate bool, err error) {
	ctx, span := c.startPublishing(ctx, l.event, l.message.Header)
	defer span.End()
	s, err := c.wire.store(ctx, l.message)
	return c.answered(ctx, l, s, err)
}

// answered is the event of a letter that the server has answered: where it is.
func (c *Conn) answered(ctx context.Context, l letter, s stored, err error) (e events.Event, duplicate bool, _ error) {
	e, m := l.event, l.message
	if wrongLast(err) {
		s, err = c.settle(ctx, m.Subject, e.ID)
	}
	if err != nil {
		return events.Event{}, false, err
	}
	c.meter.published.Add(ctx, 1, metric.WithAttributes(attribute.String("type", e.Type.Name()), attribute.Bool("duplicate", s.Duplicate)))
	if !s.Duplicate {
		c.meter.sending(ctx, "event", len(m.Data))
		c.meter.count(ctx, e)
		c.log.InfoContext(ctx, "published", "type", e.Type.Name(), "application", e.Application, "cluster", e.Cluster, "id", e.ID, "stored", s.Sequence)
	}
	e.Stored = s.Sequence
	c.witness.note(l.life, e.Stored, e.ID)
	if placesRevision(e.Type) {
		e.Sequence = s.Sequence
	}
	return e, s.Duplicate, nil
}

func wrongLast(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeWrongLastSequence
}

// settle tells whether a compare-and-set failed because the same event is
// there already: it was stored, and the answer or the one who asked was lost.
func (c *Conn) settle(ctx context.Context, subject, id string) (stored, error) {
	last, err := c.Last(ctx, subject)
	if err != nil && !errors.Is(err, ErrNone) && !unusable(err) {
		return stored{}, err
	}
	if err == nil && last.ID == id {
		return stored{Sequence: last.Stored, Duplicate: true}, nil
	}
	return stored{}, fmt.Errorf("%w on %s", ErrConflict, subject)
}
