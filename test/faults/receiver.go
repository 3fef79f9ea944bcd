// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/plumbline-dev/plumbline/test/otlpserver"
	"github.com/plumbline-dev/plumbline/test/proxy"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// receiverFaults are those of what only listens: nobody else may notice.
var receiverFaults = []Fault{
	{
		Row: "F35", Name: "slack-out", About: "Slack answers 429, 500, 503, a page, an error of its own, refuses the token, hangs or loses its answer", Weight: 3,
		Hold:  Span{time.Second, 4 * time.Second},
		Shape: (*Script).alarms,
		Inject: func(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
			before := len(w.Slack.Calls())
			w.Slack.Down([]slackserver.Fault{
				slackserver.TooMany(time.Second), slackserver.Status(500), slackserver.Status(503), slackserver.HTML(),
				slackserver.Refuse("internal_error"), slackserver.Refuse("invalid_auth"), slackserver.Hang(), slackserver.Lose(),
			}[rng.IntN(8)])
			return func(ctx context.Context) error {
				w.Slack.Up()
				if len(w.Slack.Calls()) == before {
					w.Missed("nobody asked Slack for anything")
				}
				// Who has refused a token is asked again when somebody says so.
				if out, err := w.CLI(ctx, "sync"); err != nil {
					return fmt.Errorf("ask again: %w\n%s", err, out)
				}
				return nil
			}, nil
		},
	},
	{
		Row: "F35", Name: "slack-partition", About: "between the notifier and Slack nothing gets through, or connections are reset, or Slack takes messages and its answers are lost", Weight: 2,
		Hold: Span{time.Second, 4 * time.Second}, Needs: NeedProxy, Shape: (*Script).alarms,
		Inject: func(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
			switch rng.IntN(3) {
			case 0:
				return w.wrong(w.Links.Slack, proxy.Fault{}, proxy.Rule{Lose: true}), nil
			case 1:
				return w.wrong(w.Links.Slack, proxy.Fault{Refuse: true}), nil
			default:
				return w.wrong(w.Links.Slack, proxy.Fault{Hold: proxy.Both}), nil
			}
		},
	},
	{
		Row: "F36", Name: "collector-out", About: "the telemetry collector hangs or refuses", Weight: 2,
		Hold: Span{time.Second, 4 * time.Second},
		Inject: func(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
			before := w.OTLP.Asked()
			w.OTLP.Be([]otlpserver.Mood{otlpserver.Hangs, otlpserver.Refuses}[rng.IntN(2)])
			return func(context.Context) error {
				w.OTLP.Be(otlpserver.Takes)
				if w.OTLP.Asked() == before {
					w.Missed("nobody sent the collector anything")
				}
				return nil
			}, nil
		},
	},
}
