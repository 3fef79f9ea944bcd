// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// acked is a message that notes how it is acknowledged.
type acked struct {
	jetstream.Msg
	how string
}

func (m *acked) Ack() error                      { m.how = "told"; return nil }
func (m *acked) DoubleAck(context.Context) error { m.how = "waited for"; return nil }

// The server is waited for where something was published, and told where nothing
// was; nothing is acknowledged in a log that is gone.
func TestAcknowledge(t *testing.T) {
	conn := &Conn{}
	conn.life, conn.end = context.WithCancel(t.Context())
	conn.epoch.value, conn.epoch.until = "now", time.Now().Add(time.Hour)
	w := &worker{Consumer: &Consumer{conn: conn, log: slog.New(slog.DiscardHandler)}}
	for name, c := range map[string]struct {
		epoch     string
		published bool
		want      string
	}{
		"something was published": {"now", true, "waited for"},
		"nothing was published":   {"now", false, "told"},
		"the log is gone":         {"before", true, ""},
	} {
		m := &acked{}
		w.acknowledge(t.Context(), &task{published: c.published, delivery: &delivery{msg: m, count: 1, epoch: c.epoch}}, verdict{ack: ackDone})
		if m.how != c.want {
			t.Errorf("%s: %q, want %q", name, m.how, c.want)
		}
	}
}
