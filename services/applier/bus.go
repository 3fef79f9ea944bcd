// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// missingAgain is how soon what the bus lost, or can't give now, is asked for
// again.
const missingAgain = 5 * time.Second

// busError says that an answer of the bus is at fault: neither the API server,
// nor the input.
type busError struct{ error }

func (e busError) Unwrap() error { return e.error }

// ofBus marks an error of the bus. That there is no event is an answer.
func ofBus(err error) error {
	if err == nil || errors.Is(err, bus.ErrNone) {
		return err
	}
	return busError{err}
}

// lookups is the bus, with what it answers marked as its own.
type lookups struct{ *bus.Conn }

func (l lookups) Log(ctx context.Context) (bus.Log, error) {
	log, err := l.Conn.Log(ctx)
	return log, ofBus(err)
}

func (l lookups) Last(ctx context.Context, subject string) (events.Event, error) {
	e, err := l.Conn.Last(ctx, subject)
	return e, ofBus(err)
}

func (l lookups) LastOfEach(ctx context.Context, subjects ...string) ([]events.Event, error) {
	found, err := l.Conn.LastOfEach(ctx, subjects...)
	return found, ofBus(err)
}

func (l lookups) Newest(ctx context.Context, e events.Event, subjects ...string) (events.Order, error) {
	newest, err := l.Conn.Newest(ctx, e, subjects...)
	return newest, ofBus(err)
}

func (l lookups) Life(ctx context.Context) (bus.Life, error) {
	life, err := l.Conn.Life(ctx)
	return life, ofBus(err)
}

func (l lookups) Testify(ctx context.Context, seen events.Order) error {
	return ofBus(l.Conn.Testify(ctx, seen))
}

func (l lookups) Blobs() bodies { return bodies{l.Conn.Blobs()} }

// bodies are the blobs of the bus, likewise.
type bodies struct{ *blob.Store }

func (b bodies) Get(ctx context.Context, of events.Blob) ([]byte, error) {
	data, err := b.Store.Get(ctx, of)
	return data, ofBus(err)
}

func (b bodies) Put(ctx context.Context, prefix string, data []byte) (events.Blob, error) {
	stored, err := b.Store.Put(ctx, prefix, data)
	return stored, ofBus(err)
}
