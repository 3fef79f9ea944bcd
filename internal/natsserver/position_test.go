// SPDX-License-Identifier: Apache-2.0

package natsserver_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// reader takes what the watcher's consumer delivers.
type reader chan string

func read(t *testing.T, c *bus.Conn) reader {
	t.Helper()
	r := make(reader, 16)
	bustest.Run(t, c.Consumer("watcher", func(_ context.Context, in events.Event) ([]events.Draft, error) {
		r <- in.ID
		return nil, nil
	}, bus.Options{}))
	return r
}

func (r reader) until(t *testing.T, want events.Event) {
	t.Helper()
	timeout := time.After(bustest.Timeout)
	for id := ""; id != want.ID; {
		select {
		case id = <-r:
		case <-timeout:
			t.Fatalf("%s, at place %d, is not delivered", want.ID, want.Stored)
		}
	}
}

// What removes a store underneath a server that writes into it may leave the
// folder into which a consumer's position is written just then. It is none in
// the log that comes after.
func TestAPositionThatOutlivesItsLogIsNone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nats")
	s := serve(t, dir)
	operator, watcher := s.connect(t, "operator"), s.connect(t, "watcher")
	before := epoch(t, operator)
	consumed := read(t, watcher)
	for _, cause := range []string{"a", "b", "c"} {
		consumed.until(t, lookNow(t, operator, cause))
	}
	port := s.Port()
	s.stop()

	position := filepath.Join("PLUMBLINE", "streams", "EVENTS", "obs", "watcher")
	aside := filepath.Join(t.TempDir(), "watcher")
	move(t, filepath.Join(s.Store(), position, "o.dat"), filepath.Join(aside, "o.dat"))
	remove(t, s.Store())
	move(t, filepath.Join(aside, "o.dat"), filepath.Join(s.Store(), position, "o.dat"))

	serveAt(t, dir, port)
	if epoch(t, operator) == before {
		t.Fatal("a lost log came back under the old epoch")
	}
	consumed.until(t, lookNow(t, operator, "d"))
}

func move(t *testing.T, from, to string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(to), 0o700)
	if err == nil {
		err = os.Rename(from, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}
