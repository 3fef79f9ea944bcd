// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"
	"sync"
)

// inquiry asks one question for all that want its answer now. Who asks gets an
// answer that was asked for after the call: one that is under way already may
// be of before, so those that come meanwhile share the next.
type inquiry[T any] struct {
	ask func(context.Context) (T, error)

	mu   sync.Mutex
	now  *asked[T] // under way
	next *asked[T] // of those that came since it was sent
}

type asked[T any] struct {
	done   chan struct{}
	answer T
	err    error
}

// get asks, and waits for as long as ctx lasts. What is asked for others too
// goes on without it.
func (s *inquiry[T]) get(ctx context.Context) (T, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &asked[T]{done: make(chan struct{})}
		if s.now == nil {
			go s.serve(context.WithoutCancel(ctx))
		}
	}
	mine := s.next
	if s.now == nil {
		s.now, s.next = mine, nil
	}
	s.mu.Unlock()
	select {
	case <-mine.done:
		return mine.answer, mine.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("wait for the bus: %w", ctx.Err())
	}
}

// serve asks until nobody wants an answer.
func (s *inquiry[T]) serve(ctx context.Context) {
	for {
		s.mu.Lock()
		now := s.now
		s.mu.Unlock()
		now.answer, now.err = s.ask(ctx)
		close(now.done)
		s.mu.Lock()
		s.now, s.next = s.next, nil
		last := s.now == nil
		s.mu.Unlock()
		if last {
			return
		}
	}
}
