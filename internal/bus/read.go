// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	latestBatch = 512     // subjects by name: a request stays well below a message's size
	readBytes   = 4 << 20 // bytes of an answer; the server goes over it by one message at most
	latestMost  = 1024    // subjects: the server answers for no more at once
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

// query asks for several messages at once (NATS ADR-31).
type query struct {
	Sequence uint64     `json:"seq,omitempty"`
	Start    *time.Time `json:"start_time,omitempty"`
	Filter   string     `json:"next_by_subj,omitempty"`
	Last     []string   `json:"multi_last,omitempty"` // instead of Filter: the last of each subject
	Batch    int        `json:"batch"`
	Bytes    int        `json:"max_bytes"`
}

// page is what a query got: as many messages as its limits let through.
type page struct {
	messages []*nats.Msg
	more     bool // whether there are others after the last of them
}

// Read calls fn for each message of r in order, those that can't be decoded
// included, and returns the sequence after the last. An error of fn ends it.
func (c *Conn) Read(ctx context.Context, r Range, fn func(Record) error) (next uint64, err error) {
	q := query{Sequence: max(r.From, 1), Filter: cmp.Or(r.Filter, events.Root+".>"), Batch: readBatch, Bytes: readBytes}
	if r.From == 0 && !r.Since.IsZero() {
		q.Sequence, q.Start = 0, &r.Since
	}
	for next = r.From; ; {
		p, err := c.batch(ctx, q)
		if err != nil {
			return next, err
		}
		for _, m := range p.messages {
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
		if !p.more {
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

// latest is [Conn.Latest] for as many subjects as the server answers for. What
// is published while it reads on may be among its records.
func (c *Conn) latest(ctx context.Context, filters []string) ([]Record, error) {
	q := query{Last: filters, Batch: latestMost, Bytes: readBytes}
	newest := map[string]Record{}
	for {
		p, err := c.batch(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, m := range p.messages {
			stored, err := storedAt(m)
			if err != nil {
				return nil, err
			}
			r := decodeRecord(m, stored)
			newest[r.Subject] = r
			q.Sequence = stored + 1
		}
		if !p.more {
			return slices.SortedFunc(maps.Values(newest), func(a, b Record) int { return cmp.Compare(a.Stored, b.Stored) }), nil
		}
	}
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

// batch asks, and waits for the bus while it is away.
func (c *Conn) batch(ctx context.Context, q query) (page, error) {
	for attempt := 0; ; attempt++ {
		changed := c.changed()
		p, err := c.batchOnce(ctx, q, changed)
		if err == nil || permanent(err) {
			return p, err
		}
		back, ok := c.wire.rest(ctx, attempt, changed)
		if !ok {
			return page{}, fmt.Errorf("read the log: %w (last error: %w)", ctx.Err(), err)
		}
		if back {
			attempt = -1
		}
	}
}

func (c *Conn) batchOnce(ctx context.Context, q query, changed <-chan struct{}) (page, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return page{}, err
	}
	inbox := c.wire.nc.NewInbox()
	incoming := make(chan *nats.Msg, 2*latestMost) // a whole answer and more
	sub, err := c.wire.nc.ChanSubscribe(inbox, incoming)
	if err != nil {
		return page{}, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // as in Follow
	denied, done := c.wire.denials.watch(readSubject)
	defer done()
	if err := c.wire.nc.PublishRequest(readSubject, inbox, body); err != nil {
		return page{}, err
	}
	silence := time.NewTimer(requestTimeout)
	defer silence.Stop()
	var p page
	for {
		select {
		case <-ctx.Done():
			return page{}, ctx.Err()
		case err := <-denied:
			return page{}, fmt.Errorf("read the log: %w", err)
		case <-silence.C:
			return page{}, fmt.Errorf("read the log: no answer within %s", requestTimeout)
		case <-changed:
			return page{}, fmt.Errorf("read the log: %w", errLost)
		case m := <-incoming:
			ended, err := p.take(m, q)
			if ended || err != nil {
				return p, err
			}
			silence.Reset(requestTimeout)
		}
	}
}

// take adds a message of the answer to q, and reports whether it was the last.
func (p *page) take(m *nats.Msg, q query) (ended bool, err error) {
	text := m.Header.Get("Description")
	switch status := m.Header.Get("Status"); status {
	case "":
		p.messages = append(p.messages, m)
		return false, nil
	case "204":
		// It may end early for its size. Where nothing was got there is nothing
		// to go on from.
		p.more = len(p.messages) > 0 && m.Header.Get("Nats-Num-Pending") != "0"
		return true, nil
	case "404":
		if len(q.Last) > 0 && text != "No Results" { // one of them can't be loaded
			return true, fmt.Errorf("read the log: the server says %s %s", status, text)
		}
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
