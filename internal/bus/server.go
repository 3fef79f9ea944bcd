// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"
	"time"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
)

// Server is what the server says of itself.
type Server struct {
	Version string
	RTT     time.Duration
	Time    time.Time // its clock
	Asked   time.Time // by the local clock, half way between question and answer
}

// Server asks the server for its version and its time.
func (c *Conn) Server(ctx context.Context) (Server, error) {
	rtt, err := c.wire.nc.RTT()
	if err != nil {
		return Server{}, fmt.Errorf("ask the bus: %w", err)
	}
	begun := time.Now()
	info, err := c.wire.info(ctx, natsconfig.StreamEvents, struct{}{})
	if err != nil {
		return Server{}, err
	}
	return Server{
		Version: c.wire.nc.ConnectedServerVersion(), RTT: rtt, Time: info.TimeStamp, Asked: begun.Add(time.Since(begun) / 2),
	}, nil
}
