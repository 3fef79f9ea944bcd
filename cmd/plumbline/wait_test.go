// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"testing"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/status"
)

// What begins and ends while wait is still reading how things stand is not
// missed.
func TestWaitSeesWhatLastsForAMoment(t *testing.T) {
	server := bustest.Start(t)
	p := newPublisher(t, server)
	publish := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if err := histories[name](p); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish("observed-a", "rendered-x", "completed")
	conn := server.Connect(t, "reader")
	l, err := conn.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	publish("diverged", "resolved")
	ctx, cancel := context.WithTimeout(t.Context(), bustest.Timeout/6)
	defer cancel()
	w := waiting{goal: status.Goal{Application: "shop-web", For: status.ForDiverged}, conn: conn, stderr: io.Discard}
	if outcome, err := w.from(ctx, l.Last); err != nil || outcome != status.Met {
		t.Errorf("wait = %d, %v (%s); want it to have seen the divergence", outcome, err, w.why)
	}
}
