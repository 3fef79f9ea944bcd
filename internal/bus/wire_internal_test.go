// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// lost is a connection, a subject on which nobody ever answers, and a channel as
// [Conn.changed] has it.
func lost(t *testing.T) (w *wire, s *server.Server, change func()) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("no server")
	}
	nc, err := nats.Connect(s.ClientURL(), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if _, err := nc.Subscribe("deaf", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	c := &Conn{wire: &wire{nc: nc}}
	c.life, c.end = context.WithCancel(t.Context())
	c.wire.life = c.alive
	return c.wire, s, func() { c.change(false) }
}

// A question whose answer can't come any more, as the connection is another, is
// given up when that is seen, and not when its time is over.
func TestALostQuestionIsGivenUp(t *testing.T) {
	w, _, change := lost(t)
	life := w.life()
	ended := make(chan error, 1)
	go func() {
		_, err := w.requestOnce(t.Context(), life, nats.NewMsg("deaf"))
		ended <- err
	}()
	change()
	if err := <-ended; !errors.Is(err, errLost) {
		t.Errorf("got %v, want that the connection was lost", err)
	}
}

// A question that waits to be asked again is asked as soon as the connection is
// back, however long it had to wait; and not when it is lost.
func TestAQuestionIsAskedAgainWhenTheBusIsBack(t *testing.T) {
	w, s, change := lost(t)
	type end struct{ back, ok bool }
	rest := func(ctx context.Context, attempt int) <-chan end {
		ended := make(chan end, 1)
		changed := w.life().Done()
		go func() {
			back, ok := w.rest(ctx, attempt, changed)
			ended <- end{back, ok}
		}()
		return ended
	}
	waits := rest(t.Context(), 10)
	change()
	if got := <-waits; got != (end{back: true, ok: true}) {
		t.Errorf("the connection is back: %+v", got)
	}
	if got := <-rest(t.Context(), 0); got != (end{ok: true}) {
		t.Errorf("the delay is over: %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waits = rest(ctx, 10)
	cancel()
	if got := <-waits; got != (end{}) {
		t.Errorf("nobody waits any more: %+v", got)
	}
	s.Shutdown()
	for deadline := time.Now().Add(10 * time.Second); w.nc.IsConnected(); {
		if time.Now().After(deadline) {
			t.Fatal("the loss is not seen")
		}
	}
	waits = rest(t.Context(), 0)
	change()
	if got := <-waits; got.back {
		t.Errorf("the connection is lost: %+v", got)
	}
}
