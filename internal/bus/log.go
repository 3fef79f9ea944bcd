// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
)

// metadataEpoch is where the provisioner writes the epoch.
const metadataEpoch = "plumbline-epoch"

// ErrNone says that there is no event on a subject.
var ErrNone = errors.New("no event")

// Log is the state of the log.
type Log struct {
	Epoch       string // which life of the log
	First, Last uint64 // stored sequences; Last 0: it is empty
}

// Log asks for the state of the log, as it is after the call: calls at one
// time share a question.
func (c *Conn) Log(ctx context.Context) (Log, error) { return c.state.get(ctx) }

func (c *Conn) askLog(ctx context.Context) (Log, error) {
	info, err := c.wire.info(ctx, natsconfig.StreamEvents, struct{}{})
	if err != nil {
		return Log{}, err
	}
	l := Log{Epoch: info.Config.Metadata[metadataEpoch], First: info.State.FirstSeq, Last: info.State.LastSeq}
	c.epoch.set(l.Epoch)
	return l, nil
}

// Last returns the last event on an exact subject, or an error that wraps
// [ErrNone].
func (c *Conn) Last(ctx context.Context, subject string) (events.Event, error) {
	e, _, err := c.lastAt(ctx, subject)
	return e, err
}

// lastAt is [Conn.Last] with the place of what lies there, an event or not; 0
// where there is nothing.
func (c *Conn) lastAt(ctx context.Context, subject string) (events.Event, uint64, error) {
	m, err := c.wire.last(ctx, natsconfig.StreamEvents, subject)
	if err != nil {
		return events.Event{}, 0, err
	}
	if m == nil {
		return events.Event{}, 0, fmt.Errorf("%w on %s", ErrNone, subject)
	}
	stored, err := placeOf(m)
	if err != nil {
		return events.Event{}, 0, err
	}
	e, err := events.Decode(m.Header.Get("Nats-Subject"), m.Header, m.Data, stored)
	if err == nil && e.Sequence > stored { // else there is nothing to ask for
		var epoch string
		if epoch, err = c.currentEpoch(ctx); err == nil {
			err = reached(e, epoch)
		}
	}
	return e, stored, err
}

// LastOfEach returns the last event on each of some exact subjects, in their
// order; one without a type where there is none. What lies there and is no event
// is none either, and has only its place: it must not shut out what comes after
// it. It asks for all at once: what is published meanwhile may be in one answer
// and not in another.
func (c *Conn) LastOfEach(ctx context.Context, subjects ...string) ([]events.Event, error) {
	last := make([]events.Event, len(subjects))
	group, ctx := errgroup.WithContext(ctx)
	for i, subject := range subjects {
		group.Go(Guard(func() error {
			e, stored, err := c.lastAt(ctx, subject)
			if errors.Is(err, ErrNone) || unusable(err) {
				e, err = events.Event{Stored: stored}, nil
			}
			last[i] = e
			return err
		}))
	}
	return last, group.Wait()
}

// Subjects returns the subjects that match filter and hold an event, sorted.
func (c *Conn) Subjects(ctx context.Context, filter string) ([]string, error) {
	type page struct {
		Filter string `json:"subjects_filter"`
		Offset int    `json:"offset,omitempty"`
	}
	var all []string
	for {
		info, err := c.wire.info(ctx, natsconfig.StreamEvents, page{filter, len(all)})
		if err != nil {
			return nil, err
		}
		for subject := range info.State.Subjects {
			all = append(all, subject)
		}
		if len(info.State.Subjects) == 0 || uint64(len(all)) >= info.State.NumSubjects {
			slices.Sort(all)
			return slices.Compact(all), nil
		}
	}
}

// epochLife is how long an epoch is believed. A log that was put back gets its
// new epoch only after it is up again.
const epochLife = time.Second

type epochCache struct {
	mu    sync.Mutex
	value string
	until time.Time
}

func (e *epochCache) forget() { e.set("") }

func (e *epochCache) set(epoch string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.value, e.until = epoch, time.Now().Add(epochLife)
}

func (e *epochCache) get() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Now().After(e.until) {
		return ""
	}
	return e.value
}

// last is the epoch as it was last asked for since the connection came back;
// empty: it was not.
func (e *epochCache) last() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.value
}

func (c *Conn) currentEpoch(ctx context.Context) (string, error) {
	if epoch := c.epoch.get(); epoch != "" {
		return epoch, nil
	}
	l, err := c.Log(ctx)
	return l.Epoch, err
}
