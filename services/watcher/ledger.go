// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

const (
	// busPatience is how long one question to the bus is waited for. After
	// that the repository is looked at again, so that what is published when
	// the bus is back is the newest tip.
	busPatience = 20 * time.Second
	// sendPatience is the same for a source.
	sendPatience = 5 * time.Minute
)

// ledger is what the watcher needs of the log; a *bus.Conn.
type ledger interface {
	Log(ctx context.Context) (bus.Log, error)
	Last(ctx context.Context, subject string) (events.Event, error)
	LastOfEach(ctx context.Context, subjects ...string) ([]events.Event, error)
	Hear(fn func(events.Event), filters ...string) (stop func(), err error)
	Subjects(ctx context.Context, filter string) ([]string, error)
	Publish(ctx context.Context, cause events.Cause, drafts ...events.Draft) ([]events.Event, error)
	PublishEach(ctx context.Context, posts []bus.Post) []bus.Posted
}

// busError says that the bus is at fault, and no repository.
type busError struct{ error }

func (e busError) Unwrap() error { return e.error }

// publishing tells whose fault an error of Publish is. An event that can't be
// encoded is the fault of what it is about, and no second try makes it better.
func publishing(err error) error {
	switch {
	case err == nil, errors.Is(err, bus.ErrConflict):
		return err
	case errors.Is(err, events.ErrTooLarge):
		return refuse(events.ReasonSourceTooLarge, err, "what is to be said of it does not fit into an event of %d KiB", events.MaxSize>>10)
	case errors.Is(err, events.ErrInvalid):
		return refuse(events.ReasonSourceInvalid, err, "what is to be said of it makes no valid event; the watcher's log says why")
	}
	return busError{fmt.Errorf("publish: %w", err)}
}

// logState is which life of the log it is, and how often what is remembered
// of it was given up. It is safe for concurrent use.
type logState struct {
	mu         sync.Mutex
	current    bus.Log
	generation uint64
	earlier    string // an epoch that was published to; empty: none is known
}

func (s *logState) epoch() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.Epoch
}

// now is the state as one look begins.
func (s *logState) now() (epoch string, generation uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.Epoch, s.generation
}

// forget gives up what is remembered, so that it is read again.
func (s *logState) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
}

// set takes a new state of the log. It says whether what is remembered can't
// be true of it: a new epoch, or a log that ends before it did.
func (s *logState) set(l bus.Log) (lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost = l.Epoch != s.current.Epoch || l.Last < s.current.Last
	if lost {
		s.generation++
	}
	if s.current.Epoch != "" && l.Epoch != s.current.Epoch {
		s.earlier = s.current.Epoch
	}
	s.current = l
	return lost
}

// publishedTo notes an epoch that was published to before this process.
func (s *logState) publishedTo(epoch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.earlier = epoch
}

// lostEarlier says that there was another life of the log before this one.
func (s *logState) lostEarlier() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.earlier != "" && s.earlier != s.current.Epoch
}

// causeID is the identity of an observation: equal in, equal out.
func causeID(kind string, parts ...string) string {
	h := sha256.New()
	for _, part := range append([]string{kind}, parts...) {
		h.Write([]byte{byte(len(part) >> 8), byte(len(part))})
		h.Write([]byte(part))
	}
	return "watcher/" + kind + "/" + hex.EncodeToString(h.Sum(nil)[:16])
}
