// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/plumbline-dev/plumbline/events"
)

// Hear calls fn for each event that is stored on the subjects that filters match,
// until stop is called: one after the other for each filter, as it is stored, and
// without asking or answering anything. It is a hint: what comes while the
// connection is lost, or faster than fn returns, is left out, and the log tells
// it. A message that is no event is left out too.
func (c *Conn) Hear(fn func(events.Event), filters ...string) (stop func(), err error) {
	var all []*nats.Subscription
	stop = func() {
		for _, sub := range all {
			sub.Unsubscribe() //nolint:errcheck,gosec // it fails only on a closed connection, and then it is gone
		}
	}
	for _, filter := range filters {
		sub, err := c.wire.nc.Subscribe(filter, func(m *nats.Msg) {
			stored, err := storedAt(m)
			if err != nil {
				return
			}
			if e, err := events.Decode(m.Subject, m.Header, m.Data, stored); err == nil {
				fn(e)
			}
		})
		if err != nil {
			stop()
			return nil, fmt.Errorf("listen to %s: %w", filter, err)
		}
		all = append(all, sub)
	}
	return stop, nil
}
