// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
)

// What operator and reader may do and services may not: read the log as it
// lies there, over every subject, without a consumer. A right to create
// consumers would be one to replace those of the services.

const (
	readSubject = "$JS.API.DIRECT.GET." + natsconfig.StreamEvents
	readBatch   = 256
	latestBatch = 512 // subjects by name: a request stays well below a message's size
	// readTick is how often [Conn.Follow] looks although nothing was heard.
	readTick = 2 * time.Second
)

// Record is a message of the log.
type Record struct {
	Subject string
	Stored  uint64 // its sequence in the log
	Body    []byte // as it was published
	Event   events.Event
	Err     error // why Event can't be read from it; see [events.Decode]
}

// Range is a part of the log.
type Range struct {
	Filter string    // subjects, wildcards allowed; empty: every event
	From   uint64    // the first sequence
	Since  time.Time // the earliest time, where From is 0
	// Holding leaves out messages without this text, before they are decoded:
	// to find few among many.
	Holding string
}

// errTooMany says that a filter matches more subjects than the server answers
// for at once.
var errTooMany = errors.New("too many subjects")

// Read calls fn for each message of r in order, those that can't be decoded
// included, and returns the sequence after the last. An error of fn ends it.
func (c *Conn) Read(ctx context.Context, r Range, fn func(Record) error) (next uint64, err error) {
	type query struct {
		Sequence uint64     `json:"seq,omitempty"`
		Start    *time.Time `json:"start_time,omitempty"`
		Filter   string     `json:"next_by_subj"`
		Batch    int        `json:"batch"`
	}
	q := query{Sequence: max(r.From, 1), Filter: r.Filter, Batch: readBatch}
	if r.From == 0 && !r.Since.IsZero() {
		q.Sequence, q.Start = 0, &r.Since
	}
	if q.Filter == "" {
		q.Filter = events.Root + ".>"
	}
	for next = r.From; ; {
		messages, err := c.batch(ctx, q)
		if err != nil {
			return next, err
		}
		for _, m := range messages {
			stored, err := storedAt(m)
			if err != nil {
				return next, err
			}
			if r.holds(m) {
				if err := fn(decodeRecord(m, stored)); err != nil {
					return next, err
				}
			}
			next = stored + 1
		}
		if len(messages) < readBatch {
			return next, nil
		}
		q.Sequence, q.Start = next, nil
	}
}

// Latest returns the last message of each subject that one of the filters
// matches, in the order of the log.
func (c *Conn) Latest(ctx context.Context, filters ...string) ([]Record, error) {
	records, err := c.latest(ctx, filters)
	if !errors.Is(err, errTooMany) {
		return records, err
	}
	// More than the server answers for at once: by name, some at a time.
	var subjects []string
	for _, filter := range filters {
		some, err := c.Subjects(ctx, filter)
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, some...)
	}
	slices.Sort(subjects)
	for some := range slices.Chunk(slices.Compact(subjects), latestBatch) {
		more, err := c.latest(ctx, some)
		if err != nil {
			return nil, err
		}
		records = append(records, more...)
	}
	slices.SortFunc(records, func(a, b Record) int { return cmp.Compare(a.Stored, b.Stored) })
	return records, nil
}

// latest is [Conn.Latest] as far as one answer goes.
func (c *Conn) latest(ctx context.Context, filters []string) ([]Record, error) {
	type query struct {
		Last  []string `json:"multi_last"`
		Batch int      `json:"batch"`
	}
	messages, err := c.batch(ctx, query{filters, 1024})
	if err != nil {
		return nil, err
	}
	records := make([]Record, 0, len(messages))
	for _, m := range messages {
		stored, err := storedAt(m)
		if err != nil {
			return nil, err
		}
		records = append(records, decodeRecord(m, stored))
	}
	return records, nil
}

// Follow is [Conn.Read], and then goes on with what is published, until ctx
// ends or fn returns an error; it returns that error. Nothing is left out when
// the connection is lost meanwhile; a log that has begun anew is read from its
// beginning.
func (c *Conn) Follow(ctx context.Context, r Range, fn func(Record) error) error {
	if r.Filter == "" {
		r.Filter = events.Root + ".>"
	}
	heard := make(chan struct{}, 1)
	sub, err := c.wire.nc.Subscribe(r.Filter, func(*nats.Msg) {
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("listen to %s: %w", r.Filter, err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // it fails only on a closed connection, and then it is gone
	tick := time.NewTicker(readTick)
	defer tick.Stop()
	for {
		next, err := c.Read(ctx, r, fn)
		if err != nil {
			return err
		}
		r.From = next
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-heard:
		case <-tick.C:
			if err := c.begunAnew(ctx, &r); err != nil {
				return err
			}
		}
	}
}

// begunAnew sets r to the beginning of a log that ends before r.
func (c *Conn) begunAnew(ctx context.Context, r *Range) error {
	if r.From == 0 {
		return nil
	}
	l, err := c.Log(ctx)
	if err == nil && l.Last+1 < r.From {
		r.From, r.Since = 1, time.Time{}
	}
	return err
}

// batch asks for several messages at once and returns them (NATS ADR-31). It
// waits for the bus while it is away.
func (c *Conn) batch(ctx context.Context, query any) ([]*nats.Msg, error) {
	body, err := json.Marshal(query)
	if err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		messages, err := c.batchOnce(ctx, body)
		if err == nil || permanent(err) {
			return messages, err
		}
		if !pause(ctx, min(retryWait<<min(attempt, 10), retryMost)) {
			return nil, fmt.Errorf("read the log: %w (last error: %w)", ctx.Err(), err)
		}
	}
}

func (c *Conn) batchOnce(ctx context.Context, body []byte) ([]*nats.Msg, error) {
	inbox := c.wire.nc.NewInbox()
	answers := make(chan *nats.Msg, 2048) // a whole answer and more
	sub, err := c.wire.nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // as in Follow
	denied, done := c.wire.denials.watch(readSubject)
	defer done()
	if err := c.wire.nc.PublishRequest(readSubject, inbox, body); err != nil {
		return nil, err
	}
	silence := time.NewTimer(requestTimeout)
	defer silence.Stop()
	var messages []*nats.Msg
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case err := <-denied:
			return nil, fmt.Errorf("read the log: %w", err)
		case <-silence.C:
			return nil, fmt.Errorf("read the log: no answer within %s", requestTimeout)
		case m := <-answers:
			ended, err := endOfBatch(m)
			if ended || err != nil {
				return messages, err
			}
			messages = append(messages, m)
			silence.Reset(requestTimeout)
		}
	}
}

func endOfBatch(m *nats.Msg) (ended bool, err error) {
	text := m.Header.Get("Description")
	switch status := m.Header.Get("Status"); status {
	case "":
		return false, nil
	case "204", "404": // the end; nothing at all
		return true, nil
	case "413":
		return true, &refusal{fmt.Errorf("read the log: %w", errTooMany)}
	case "400", "408":
		return true, &refusal{fmt.Errorf("read the log: the server says %s %s", status, text)}
	default:
		return true, fmt.Errorf("read the log: the server says %s %s", status, text)
	}
}

// holds reports whether a message may be one of those that r asks for.
func (r Range) holds(m *nats.Msg) bool {
	return r.Holding == "" || bytes.Contains(m.Data, []byte(r.Holding)) || m.Header.Get("ce-id") != ""
}

func storedAt(m *nats.Msg) (uint64, error) {
	stored, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the log: an answer has no sequence: %w", err)
	}
	return stored, nil
}

func decodeRecord(m *nats.Msg, stored uint64) Record {
	r := Record{Subject: m.Header.Get("Nats-Subject"), Stored: stored, Body: m.Data}
	r.Event, r.Err = events.Decode(r.Subject, m.Header, m.Data, stored)
	return r
}
