// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"math/rand/v2"
	"time"
)

var apiServerFaults = []Fault{
	{
		Row: "F15", Name: "apiserver-frozen", About: "API server and etcd stopped by SIGSTOP: connections stay, nothing answers", Weight: 3,
		Hold: Span{time.Second, 5 * time.Second}, Outage: true,
		Inject: func(_ context.Context, w *World, _ *rand.Rand) (Lift, error) {
			if err := w.Cluster.Pause(); err != nil {
				return nil, err
			}
			return func(context.Context) error { return w.Cluster.Resume() }, nil
		},
	},
	{
		Row: "F15", Name: "apiserver-restarted", About: "API server and etcd killed, and started again on the same data", Weight: 2,
		Hold: Span{0, 2 * time.Second}, Outage: true,
		Inject: func(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
			end := w.Cluster.Kill
			if rng.IntN(2) == 0 {
				end = w.Cluster.Stop
			}
			if err := end(); err != nil {
				return nil, err
			}
			return w.Cluster.Restart, nil
		},
	},
}
