// SPDX-License-Identifier: Apache-2.0

// Command subscriber prints the divergences of a running Plumbline: each once,
// in the order of the log, across lost connections, and from a time in the
// past. It knows NATS and CloudEvents, and nothing of Plumbline's own code.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
)

func main() {
	server := flag.String("server", "nats://127.0.0.1:4222", "where the bus is")
	seed := flag.String("creds", "reader.nk", "file with the reader's nkey seed")
	subject := flag.String("subject", "plumbline.v1.divergence.>", "what to read")
	since := flag.Duration("since", time.Hour, "how far back to begin")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := follow(ctx, *server, *seed, *subject, time.Now().Add(-*since), show); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func show(e cloudevents.Event) {
	var data struct {
		Message string `json:"message"` // every event for people has one
	}
	_ = e.DataAs(&data)
	fmt.Println(e.Time().Format(time.TimeOnly), e.Type(), e.Subject(), data.Message)
}

// follow calls fn for each event on subject from begin on, until ctx ends. The
// subscription only rings; what is read is the log, so nothing is left out
// while the connection was gone, and nothing comes twice.
func follow(ctx context.Context, server, seed, subject string, begin time.Time, fn func(cloudevents.Event)) error {
	key, err := nats.NkeyOptionFromSeed(seed)
	if err != nil {
		return err
	}
	nc, err := nats.Connect(server, key, nats.CustomInboxPrefix("_INBOX_reader"), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer nc.Close()
	rung := make(chan struct{}, 1)
	ring := func(*nats.Msg) {
		select {
		case rung <- struct{}{}:
		default:
		}
	}
	if _, err := nc.Subscribe(subject, ring); err != nil {
		return err
	}
	next := query{Start: &begin, Filter: subject, Batch: 256}
	for {
		n, err := read(nc, &next, fn)
		if err != nil {
			log.Print(err) // the bus is away; it is asked again
		}
		if err == nil && n == next.Batch {
			continue // there is more
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rung:
		case <-time.After(2 * time.Second): // a ring may be lost with the connection
		}
	}
}

// query asks JetStream for several messages of the log at once (NATS ADR-31).
type query struct {
	Sequence uint64     `json:"seq,omitempty"`
	Start    *time.Time `json:"start_time,omitempty"`
	Filter   string     `json:"next_by_subj"`
	Batch    int        `json:"batch"`
}

// read hands over one batch, moves q behind it, and returns how many came.
func read(nc *nats.Conn, q *query, fn func(cloudevents.Event)) (int, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return 0, err
	}
	answers, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return 0, err
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := nc.PublishRequest("$JS.API.DIRECT.GET.EVENTS", answers.Subject, body); err != nil {
		return 0, err
	}
	for n := 0; ; n++ {
		m, err := answers.NextMsg(5 * time.Second)
		if err != nil {
			return n, err
		}
		if status := m.Header.Get("Status"); status == "204" || status == "404" {
			return n, nil // the end
		} else if status != "" {
			return n, fmt.Errorf("read the log: %s %s", status, m.Header.Get("Description"))
		}
		stored, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		if err != nil {
			return n, err
		}
		q.Sequence, q.Start = stored+1, nil
		var e cloudevents.Event
		if err := json.Unmarshal(m.Data, &e); err != nil {
			log.Printf("%s is no event: %v", m.Header.Get("Nats-Subject"), err)
			continue
		}
		fn(e)
	}
}
