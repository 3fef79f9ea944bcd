// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// Calls that come while a question is under way share the next one, and none
// gets an answer that was asked for before it came.
func TestSharedAsksOnceForAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, answers := make(chan int), make(chan int)
		questions := 0
		s := inquiry[int]{ask: func(context.Context) (int, error) {
			questions++
			asked <- questions
			return <-answers, nil
		}}
		var group sync.WaitGroup
		get := func(want int) {
			group.Go(func() {
				if got, err := s.get(t.Context()); got != want || err != nil {
					t.Errorf("got %d, %v; want %d", got, err, want)
				}
			})
		}
		get(1)
		<-asked
		for range 50 {
			get(2)
		}
		synctest.Wait() // they wait for the question after the one under way
		answers <- 1
		<-asked
		answers <- 2
		group.Wait()
		get(3)
		<-asked
		answers <- 3
		group.Wait()
		if questions != 3 {
			t.Errorf("%d questions, want 3", questions)
		}
	})
}

// Who gives up waiting takes nobody's answer away.
func TestSharedGoesOnWithoutWhoGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, answers := make(chan struct{}), make(chan int)
		s := inquiry[int]{ask: func(ctx context.Context) (int, error) {
			asked <- struct{}{}
			select {
			case n := <-answers:
				return n, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := s.get(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want the end of its context", err)
			}
		})
		<-asked
		group.Go(func() {
			if n, err := s.get(t.Context()); n != 2 || err != nil {
				t.Errorf("got %d, %v", n, err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		answers <- 1
		<-asked
		answers <- 2
		group.Wait()
	})
}
