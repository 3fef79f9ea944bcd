// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"time"

	"github.com/plumbline-dev/plumbline/test/otlpserver"
	"github.com/plumbline-dev/plumbline/test/rig"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// receivers are what Plumbline tells outside of its bus.
type receivers struct {
	traces *otlpserver.Server
	slack  *slackserver.Server
}

func receive() (receivers, error) {
	traces, err := otlpserver.Start()
	if err != nil {
		return receivers{}, err
	}
	slack, err := slackserver.Listen(slackserver.Options{Rate: time.Second})
	if err != nil {
		return receivers{}, errors.Join(err, traces.Close())
	}
	return receivers{traces, slack}, nil
}

// on has the services of a rig send to the receivers.
func (r receivers) on(o rig.Options) rig.Options {
	o.Slack, o.SlackToken = r.slack.URL(), slackserver.Token
	o.Env = append(o.Env, r.traces.Env("grpc")...)
	o.Env = append(o.Env, "OTEL_BSP_SCHEDULE_DELAY=200") // milliseconds: the story doesn't wait for spans
	return o
}

func (r receivers) close() {
	_ = r.slack.Close()  // nobody asks it any more
	_ = r.traces.Close() // as above
}
