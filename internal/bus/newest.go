// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"

	"golang.org/x/sync/errgroup"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
)

// Newest returns the highest revision above that of e among the last events on
// the given subjects, as far as they are of the log's present epoch; the zero
// Order where there is none. If there is one, e is superseded: latest wins. Above
// the zero Event is every revision.
//
// Where the place of a message alone shows that it is not of a later revision, it
// is not read: it is e itself, or it was stored before the revision of e was.
func (c *Conn) Newest(ctx context.Context, e events.Event, subjects ...string) (events.Order, error) {
	epoch, err := c.currentEpoch(ctx)
	if err != nil {
		return events.Order{}, err
	}
	above := e.Sequence
	if e.Epoch != epoch { // its places are those of another log
		above, e.Stored = 0, 0
	}
	sequences := make([]uint64, len(subjects))
	group, ctx := errgroup.WithContext(ctx)
	for i, subject := range subjects {
		group.Go(Guard(func() (err error) {
			sequences[i], err = c.sequenceAfter(ctx, epoch, subject, above, e.Stored)
			return err
		}))
	}
	if err := group.Wait(); err != nil {
		return events.Order{}, err
	}
	var newest events.Order
	for _, s := range sequences {
		if s > above && s > newest.Sequence {
			newest = events.Order{Epoch: epoch, Sequence: s}
		}
	}
	return newest, nil
}

// sequenceAfter is the sequence of the last event on a subject; 0 where there is
// none of this epoch, or where its place is own or not beyond above.
func (c *Conn) sequenceAfter(ctx context.Context, epoch, subject string, above, own uint64) (uint64, error) {
	m, err := c.wire.last(ctx, natsconfig.StreamEvents, subject)
	if err != nil || m == nil {
		return 0, err
	}
	stored, err := placeOf(m)
	if err != nil || stored <= above || stored == own {
		return 0, err
	}
	e, err := events.Decode(m.Header.Get("Nats-Subject"), m.Header, m.Data, stored)
	switch {
	case unusable(err), err == nil && (e.Epoch != epoch || reached(e, epoch) != nil):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return e.Sequence, nil
}
