// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

func commit(app, id string) events.Draft {
	return events.Draft{
		Address:     events.Address{Cluster: "local", Application: app},
		Correlation: app + "@" + id,
		Data: &events.CommitObserved{
			Revision:    events.Revision{Commit: id, Ref: "refs/heads/main"},
			Declaration: events.Declaration{Application: app, Cluster: "local"},
		},
	}
}

func failed(app string) events.Draft {
	return events.Draft{
		Address: events.Address{Cluster: "local", Application: app},
		Data:    &events.RenderFailed{Declaration: events.Declaration{Application: app, Cluster: "local"}, Reason: events.ReasonSyntax, Message: "line 3"},
	}
}

// publish publishes drafts, each from a cause of its own.
func publish(t *testing.T, c *bus.Conn, drafts ...events.Draft) []events.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bustest.Timeout)
	defer cancel()
	var all []events.Event
	for _, d := range drafts {
		published, err := c.Publish(ctx, events.Cause{ID: "tip/" + d.Correlation + d.Application}, d)
		if err != nil {
			t.Fatalf("publish: %v", err)
		}
		all = append(all, published...)
	}
	return all
}

// quick is a back-off list for tests.
var quick = []time.Duration{300 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond}

// rejected returns the message.rejected events with a reason.
func rejected(t *testing.T, s *bustest.Server, reason events.Reason) []*events.MessageRejected {
	t.Helper()
	var all []*events.MessageRejected
	for _, e := range s.Events(t, "plumbline.v1.message.rejected.>") {
		if r := e.Data.(*events.MessageRejected); r.Reason == reason {
			all = append(all, r)
		}
	}
	return all
}

func ignore(context.Context, events.Event) ([]events.Draft, error) { return nil, nil }

func traceID(traceparent string) string { return strings.Split(traceparent, "-")[1] }
