// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/plumbline-dev/plumbline/test/proxy"
)

// bus is a NATS server with a stream of ten messages and a consumer, seen
// through a proxy. What isn't acknowledged comes again after ackWait.
func bus(t *testing.T, ackWait time.Duration) (*proxy.Bus, jetstream.Consumer) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server takes no connections")
	}
	p, err := proxy.NewBus(s.Addr().String(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	nc, err := nats.Connect("nats://" + p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if more := nc.DiscoveredServers(); len(more) > 0 {
		t.Fatalf("the client was told of %v, past the proxy", more)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		m := &nats.Msg{Subject: "s", Header: nats.Header{"N": {fmt.Sprint(i)}}, Data: []byte(fmt.Sprintf("message %d\r\nMSG", i))}
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	c, err := js.CreateConsumer(t.Context(), "S", jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait})
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

// next returns the sequence of the next message, 0 for none, and acknowledges
// it.
func next(t *testing.T, c jetstream.Consumer, wait time.Duration) (sequence uint64, delivered uint64) {
	t.Helper()
	batch, err := c.Fetch(1, jetstream.FetchMaxWait(wait))
	if err != nil {
		t.Fatal(err)
	}
	for m := range batch.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Ack(); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("message %d\r\nMSG", meta.Sequence.Stream-1); string(m.Data()) != want {
			t.Errorf("it reads %q, want %q", m.Data(), want)
		}
		sequence, delivered = meta.Sequence.Stream, meta.NumDelivered
	}
	return sequence, delivered
}

func TestBusPasses(t *testing.T) {
	_, c := bus(t, patience)
	for i := range 10 {
		if got, delivered := next(t, c, patience); got != uint64(i+1) || delivered != 1 {
			t.Fatalf("message %d came for the %d. time, want %d", got, delivered, i+1)
		}
	}
	deadline, tick := time.NewTimer(patience), time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for {
		info, err := c.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.NumAckPending == 0 {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%d messages were acknowledged, and the server doesn't know", info.NumAckPending)
		case <-tick.C:
		}
	}
}

func TestBusLosesAcks(t *testing.T) {
	p, c := bus(t, 500*time.Millisecond)
	p.Deliver(proxy.Delivery{LoseAcks: 1})
	for range 10 {
		next(t, c, patience)
	}
	// What comes again comes before what has not come yet: where the machine stalls
	// some of the ten were the same, and others still come for the first time.
	deadline := time.Now().Add(patience)
	for delivered := uint64(1); delivered < 2; {
		var got uint64
		if got, delivered = next(t, c, patience); got == 0 || time.Now().After(deadline) {
			t.Fatalf("message %d for the %d. time, want one again", got, delivered)
		}
	}
	if n := p.Deliveries().Lost; n < 10 {
		t.Errorf("%d acknowledgements lost", n)
	}
	p.Deliver(proxy.Delivery{})
	deadline = time.Now().Add(patience)
	for got := uint64(1); got != 0; got, _ = next(t, c, time.Second) {
		if time.Now().After(deadline) {
			t.Fatal("messages come although they are acknowledged")
		}
	}
}

func TestBusDeliversAgainAndOutOfOrder(t *testing.T) {
	p, c := bus(t, patience)
	p.Deliver(proxy.Delivery{Copies: 4, Spread: 50 * time.Millisecond})
	ctx, end := context.WithTimeout(t.Context(), patience)
	defer end()
	batch, err := c.Fetch(50, jetstream.FetchContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	var order []uint64
	times := map[uint64]int{}
	for m := range batch.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Ack(); err != nil {
			t.Fatal(err)
		}
		order = append(order, meta.Sequence.Stream)
		times[meta.Sequence.Stream]++
		if did := p.Deliveries(); did.Delivered == 10 && len(order) == did.Delivered+did.Copied {
			time.AfterFunc(moment, end) // in which no more is to come
		}
	}
	did := p.Deliveries()
	if len(times) != 10 || did.Delivered != 10 || did.Copied == 0 || len(order) != did.Delivered+did.Copied {
		t.Errorf("%d messages in %d deliveries, of which the proxy knows %+v", len(times), len(order), did)
	}
	if slices.IsSorted(order) {
		t.Errorf("they come in order: %v", order)
	}
	for sequence, n := range times {
		if n > 5 {
			t.Errorf("message %d came %d times", sequence, n)
		}
	}
}

// What is still under way does not outlive its connection.
func TestBusEndsWithWhatIsUnderWay(t *testing.T) {
	p, c := bus(t, patience)
	p.Deliver(proxy.Delivery{Spread: time.Hour})
	batch, err := c.FetchNoWait(10)
	if err != nil {
		t.Fatal(err)
	}
	deadline, tick := time.NewTimer(patience), time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for p.Deliveries().Delivered == 0 {
		select {
		case <-deadline.C:
			t.Fatal("nothing is under way")
		case <-tick.C:
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- p.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("it waits for messages that are an hour under way")
	}
	if m, ok := <-batch.Messages(); ok {
		t.Errorf("got %s", m.Data())
	}
}
