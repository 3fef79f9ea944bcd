// SPDX-License-Identifier: Apache-2.0

package provision_test

import (
	"fmt"
	"testing"
	"time"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/provision"
)

func sweepLog(t *testing.T, s *bustest.Server) *bus.Conn {
	t.Helper()
	log, err := bus.Connect(t.Context(), s.Config("provisioner"), bustest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	return log
}

// A blob that a writer found there, and named in an event while a sweep was
// about to delete it, stays.
func TestSweepSeesWhatIsNamedMeanwhile(t *testing.T) {
	s := bustest.Start(t)
	watcher, js, log := s.Connect(t, "watcher"), s.JetStream(t), sweepLog(t, s)
	source, err := watcher.Blobs().Put(t.Context(), "plumbline.blob.watcher.source", []byte("tree"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	name := func() {}
	sweeper := provision.Sweeper{Grace: time.Hour, Now: func() time.Time {
		name() // the sweep has read the log, and looks how old the blob is
		return now
	}}
	for range 3 {
		if swept, err := sweeper.Sweep(t.Context(), js, log); err != nil || len(swept.Deleted) > 0 {
			t.Fatalf("Sweep = %+v, %v", swept, err)
		}
		now = now.Add(2 * time.Hour)
		name = func() {
			data := &events.CommitObserved{Declaration: events.Declaration{Application: "shop", Cluster: "local"}, Source: source}
			draft := events.Draft{Data: data, Address: events.Address{Cluster: "local", Application: "shop"}}
			if _, err := watcher.Publish(t.Context(), events.Cause{ID: "tip"}, draft); err != nil {
				t.Error(err)
			}
		}
	}
	if has, err := watcher.Blobs().Has(t.Context(), source); err != nil || !has {
		t.Errorf("Has = %v, %v", has, err)
	}
}

// A write that broke off and is taken up again is as young as its last chunk.
func TestSweepLeavesWhatIsBeingWritten(t *testing.T) {
	s := bustest.Start(t)
	js, log, writer := s.JetStream(t), sweepLog(t, s), s.Dial(t, "watcher")
	chunk := func(blob, n int) {
		t.Helper()
		if _, err := writer.Request(fmt.Sprintf("plumbline.blob.watcher.source.part%d.%d", blob, n), nil, bustest.Timeout); err != nil {
			t.Fatal(err)
		}
	}
	const blobs = 8
	for blob := range blobs {
		chunk(blob, 9)
	}
	stream, err := js.Stream(t.Context(), natsconfig.StreamBlobs)
	if err != nil {
		t.Fatal(err)
	}
	now := stream.CachedInfo().State.LastTime
	sweeper := provision.Sweeper{Grace: time.Hour, Now: func() time.Time { return now }}
	if _, err := sweeper.Sweep(t.Context(), js, log); err != nil {
		t.Fatal(err)
	}
	for blob := range blobs {
		chunk(blob, 10)
	}
	now = now.Add(time.Hour)
	if swept, err := sweeper.Sweep(t.Context(), js, log); err != nil || len(swept.Deleted) > 0 {
		t.Errorf("Sweep = %+v, %v", swept, err)
	}
}
