// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/nats-io/nats.go"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
)

// witness remembers the furthest place in the log of which this process was
// told, by the answer to what it published or by what it was given. A log that
// is put back from a backup may end before that place, or hold another event
// there, and whoever keeps the log need not have seen it: a server that is
// killed was perhaps not asked in its last moments. So each time the connection
// comes back, what is remembered is told to the provisioner, who compares it
// with the log and turns the epoch where it isn't true
// ([github.com/plumbline-dev/plumbline/internal/provision.Apply]).
//
// It is safe for concurrent use.
type witness struct {
	mu   sync.Mutex
	seen natsconfig.Witness
}

// note takes note of an event and of its place in a life of the log; "" where
// that is not known, and nothing is noted. What is said of a life that is over
// is harmless: it is compared with no other.
func (w *witness) note(epoch string, last uint64, id string) {
	if epoch == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if epoch != w.seen.Epoch || last > w.seen.Last {
		w.seen = natsconfig.Witness{Epoch: epoch, Last: last, ID: id}
	}
}

func (w *witness) get() natsconfig.Witness {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

// Testify tells the provisioner of a place in the log that must have been
// taken, of which a service knows by other ways than the log: where the log
// does not reach it, its epoch turns.
func (c *Conn) Testify(ctx context.Context, seen events.Order) error {
	return c.testify(ctx, natsconfig.Witness{Epoch: seen.Epoch, Last: seen.Sequence})
}

// testify tells the provisioner what this process has seen of the log. It tries
// for as long as ctx lasts.
func (c *Conn) testify(ctx context.Context, seen natsconfig.Witness) error {
	body, err := json.Marshal(seen)
	if err != nil {
		return err
	}
	_, err = c.wire.store(ctx, &nats.Msg{Subject: natsconfig.WitnessSubject(c.cfg.User), Data: body})
	return err
}

// testifyAgain does so after the connection came back.
func (c *Conn) testifyAgain() {
	seen := c.witness.get()
	if seen.Epoch == "" || !natsconfig.Testifies(c.cfg.User) {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), testimonyPatience)
		defer cancel()
		if err := c.testify(ctx, seen); err != nil && !c.wire.nc.IsClosed() {
			c.log.Warn("the provisioner is not told how far the log was: one that was put back from a backup may be taken for the present one until the connection comes back again", "error", err)
		}
	}()
}
