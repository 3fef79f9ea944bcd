// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/plumbline-dev/plumbline/events"
)

// Seen is an event and when the subscriber got it.
type Seen struct {
	events.Event
	At time.Time
}

// Subscriber keeps every event that it hears as any plain NATS subscriber
// would, with the reader's credentials. Safe for concurrent use.
type Subscriber struct {
	conn *nats.Conn

	mu      sync.Mutex
	seen    []Seen
	bad     []error
	changed chan struct{} // closed and replaced with each event
}

// Subscribe connects and listens to everything.
func Subscribe(ctx context.Context, url, creds string) (*Subscriber, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	seed, err := os.ReadFile(creds)
	if err != nil {
		return nil, fmt.Errorf("rig: subscribe: %w", err)
	}
	key, err := nkeys.FromSeed(trim(seed))
	if err != nil {
		return nil, fmt.Errorf("rig: subscribe: %w", err)
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("rig: subscribe: %w", err)
	}
	s := &Subscriber{changed: make(chan struct{})}
	options := []nats.Option{
		nats.Nkey(public, key.Sign), nats.MaxReconnects(-1), nats.ReconnectWait(50 * time.Millisecond),
		nats.RetryOnFailedConnect(true), nats.Name("rig"),
	}
	if s.conn, err = nats.Connect(url, options...); err != nil {
		return nil, fmt.Errorf("rig: subscribe: %w", err)
	}
	if _, err := s.conn.Subscribe(events.Root+".>", s.hear); err != nil {
		return nil, errors.Join(fmt.Errorf("rig: subscribe: %w", err), s.close())
	}
	err = Until(ctx, func(context.Context) (bool, error) { return s.conn.IsConnected(), nil })
	if err == nil {
		err = s.conn.FlushWithContext(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("rig: subscribe: %w", err), s.close())
	}
	return s, nil
}

func trim(seed []byte) []byte {
	for len(seed) > 0 && (seed[len(seed)-1] == '\n' || seed[len(seed)-1] == ' ') {
		seed = seed[:len(seed)-1]
	}
	return seed
}

func (s *Subscriber) hear(m *nats.Msg) {
	e, err := events.Decode(m.Subject, m.Header, m.Data, 0)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.bad = append(s.bad, fmt.Errorf("%s: %w", m.Subject, err))
	} else {
		s.seen = append(s.seen, Seen{e, time.Now()})
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// Bad are the messages that were no events.
func (s *Subscriber) Bad() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]error(nil), s.bad...)
}

// Mark is a place in what was heard; events from it on are what comes after.
func (s *Subscriber) Mark() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// Since are the events from mark on.
func (s *Subscriber) Since(mark int) []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Seen(nil), s.seen[mark:]...)
}

// Wait returns the first event from mark on that match accepts. Where ctx ends
// before, its error is the cause.
func (s *Subscriber) Wait(ctx context.Context, mark int, match func(Seen) bool) (Seen, error) {
	for {
		s.mu.Lock()
		for ; mark < len(s.seen); mark++ {
			if e := s.seen[mark]; match(e) {
				s.mu.Unlock()
				return e, nil
			}
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return Seen{}, context.Cause(ctx)
		}
	}
}

// Of matches events of a type, by its short name, of an application.
func Of(name, application string) func(Seen) bool {
	return func(e Seen) bool {
		return e.Type.Name() == name && e.Application == application
	}
}

// Close ends the subscription.
func (s *Subscriber) Close() { _ = s.close() }

func (s *Subscriber) close() error {
	s.conn.Close()
	return nil
}
