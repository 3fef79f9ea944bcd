// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

func lookNow(app string) events.Draft {
	return events.Draft{Data: &events.SyncRequested{By: "test"}, Address: events.Address{Application: app}}
}

func TestPublishConsumeAndBlobs(t *testing.T) {
	s := bustest.Start(t)
	operator, renderer := s.Connect(t, "operator"), s.Connect(t, "renderer")
	ctx := t.Context()

	published, err := operator.Publish(ctx, events.Cause{ID: "a"}, lookNow("shop"))
	if err != nil {
		t.Fatal(err)
	}
	last, err := renderer.Last(ctx, events.TypeNamed("sync.requested").Subject(events.Address{Application: "shop"}))
	if err != nil || last.ID != published[0].ID || last.Stored != published[0].Stored {
		t.Fatalf("Last = %+v, %v", last, err)
	}

	got := make(chan events.Event, 1)
	bustest.Run(t, renderer.Consumer("renderer", func(_ context.Context, in events.Event) ([]events.Draft, error) {
		got <- in
		return nil, nil
	}, bus.Options{}))
	if in := <-got; in.ID != published[0].ID {
		t.Errorf("consumed %s, want %s", in.ID, published[0].ID)
	}

	data := bytes.Repeat([]byte("plumbline"), 200_000)
	b, err := renderer.Blobs().Put(ctx, "plumbline.blob.renderer.local", data)
	if err != nil {
		t.Fatal(err)
	}
	back, err := s.Connect(t, "applier-local").Blobs().Get(ctx, b)
	if err != nil || !bytes.Equal(back, data) {
		t.Errorf("Get = %d bytes, %v", len(back), err)
	}
}
