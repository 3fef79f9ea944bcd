// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// forge puts a message into the log as the renderer's user may, past the
// renderer.
func forge(t *testing.T, s *bustest.Server, e events.Event, body []byte) {
	t.Helper()
	headers, encoded, err := events.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	if body == nil {
		body = encoded
	}
	ctx, cancel := context.WithTimeout(t.Context(), bustest.Timeout)
	defer cancel()
	m := &nats.Msg{Subject: e.Type.Subject(e.Address), Header: headers, Data: body}
	if _, err := s.Dial(t, "renderer").RequestMsgWithContext(ctx, m); err != nil {
		t.Fatal(err)
	}
}

// An event of a revision that the log had not reached is rejected, no handler
// sees it, and it supersedes nothing.
func TestAnEventOfTheFutureIsRejected(t *testing.T) {
	s := bustest.Start(t)
	c := s.Connect(t, "renderer")
	ctx, cancel := context.WithTimeout(t.Context(), bustest.Timeout)
	defer cancel()
	log, err := c.Log(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d := failed("shop")
	e := events.Event{
		Type: events.TypeOf(d.Data), Address: d.Address, ID: "forged", Time: time.Now(), Source: events.Source("renderer", ""),
		Data: d.Data, Epoch: log.Epoch, Sequence: 1 << 40,
	}
	forge(t, s, e, nil)
	subject := e.Type.Subject(e.Address)
	newest, err := c.Newest(ctx, events.Event{}, subject)
	if err != nil || newest != (events.Order{}) {
		t.Errorf("the newest is %+v, %v", newest, err)
	}
	last, err := c.LastOfEach(ctx, subject)
	if err != nil || last[0].Type != nil || last[0].Stored == 0 {
		t.Errorf("the last is %+v, %v", last, err)
	}
	// Of another life of the log it is old, not forged.
	e.Epoch, e.ID = "another", "old"
	forge(t, s, e, nil)
	if last, err = c.LastOfEach(ctx, subject); err != nil || last[0].Type == nil {
		t.Errorf("the last is %+v, %v", last, err)
	}
	if all := rejected(t, s, events.ReasonIntegrity); len(all) > 0 {
		t.Fatalf("rejected before anybody consumes: %+v", all[0])
	}
	bustest.Run(t, s.Connect(t, "notifier").Consumer("notifier", func(_ context.Context, in events.Event) ([]events.Draft, error) {
		if in.ID == "forged" {
			t.Error("a handler is given what was forged")
		}
		return nil, nil
	}, bus.Options{}))
	bustest.Eventually(t, "message.rejected", func() bool { return len(rejected(t, s, events.ReasonIntegrity)) == 1 })
	// What is no event shuts nothing out either.
	forge(t, s, e, []byte("{"))
	if newest, err = c.Newest(ctx, events.Event{}, subject); err != nil || newest != (events.Order{}) {
		t.Errorf("the newest is %+v, %v", newest, err)
	}
}
