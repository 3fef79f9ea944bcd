// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/plumbline-dev/plumbline/internal/blob"
)

// Conn is a connection to the bus. It is safe for concurrent use.
//
// Its methods wait for the bus while it is away, for as long as their context
// lasts.
type Conn struct {
	cfg   Config
	log   *slog.Logger
	wire  *wire
	js    jetstream.JetStream
	blobs *blob.Store
	meter meters
	epoch epochCache
	state inquiry[Log]

	absence *absence
	witness witness

	mu     sync.Mutex
	signal chan struct{} // closed when the connection is lost or comes back
}

// Connect connects to the bus as cfg.User: it tries until ctx ends, and after
// that reconnects for ever. A key that can't be read ends it at once, with an
// error that wraps [ErrKey]; one that the bus refuses is said in the log and to
// cfg.Waiting, and tried again.
func Connect(ctx context.Context, cfg Config, log *slog.Logger) (*Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Conn{cfg: cfg, log: log, wire: &wire{log: log}, signal: make(chan struct{}), absence: newAbsence(cfg, log)}
	c.state.ask = c.askLog
	c.wire.changed = c.changed
	c.meter = newMeters(cfg.Telemetry)
	c.wire.meter = c.meter
	c.wire.nc, err = dial(ctx, cfg, c.absence, callbacks{
		changed: c.change,
		failed:  c.wire.denials.told,
	})
	if err != nil {
		return nil, err
	}
	if c.js, err = jetstream.New(c.wire.nc); err != nil {
		c.wire.nc.Close()
		return nil, err
	}
	c.blobs = blob.New(c.wire)
	return c, nil
}

// Close ends the connection. Consumers are to have ended before.
func (c *Conn) Close() { c.wire.nc.Close() }

// Connected reports whether the bus answers now.
func (c *Conn) Connected() bool { return c.wire.nc.IsConnected() }

// Ready returns nil if the bus is there, or says for people what keeps it away;
// it wraps [ErrRefused] where the bus doesn't take the key.
func (c *Conn) Ready() error {
	if err := c.absence.why(); err != nil {
		return err
	}
	if !c.Connected() {
		return errors.New("the bus does not answer")
	}
	return nil
}

// Blobs is the store of bodies.
func (c *Conn) Blobs() *blob.Store { return c.blobs }

// change is called when the connection is lost or comes back.
func (c *Conn) change(back bool) {
	c.epoch.forget()
	if back {
		c.testifyAgain()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.signal)
	c.signal = make(chan struct{})
}

// changed is closed when the connection is lost or comes back.
func (c *Conn) changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.signal
}

// untilChanged is ctx until the connection is lost or comes back: what was
// asked on it is not answered then.
func (c *Conn) untilChanged(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	changed := c.changed()
	go func() {
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
