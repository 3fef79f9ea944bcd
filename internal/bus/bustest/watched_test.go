// SPDX-License-Identifier: Apache-2.0

package bustest_test

import (
	"runtime"
	"sync"
	"testing"
)

// The race detector follows what a sync.Map hands on, in a program that holds the
// NATS server without being told of its accesses: the linker keeps one copy of a
// generic function, and the server's may be that copy. Were it blind to atomic
// operations, every cache of a library would be reported as a race.
func TestTheRaceDetectorFollowsWhatAMapHandsOn(t *testing.T) {
	var handed sync.Map
	seen := make(chan int)
	go func() {
		for {
			if v, ok := handed.Load("n"); ok {
				n, _ := v.(*int)
				seen <- *n
				return
			}
			runtime.Gosched()
		}
	}()
	n := new(int)
	*n = 7 // nothing but the map orders this before it is read
	handed.Store("n", n)
	if got := <-seen; got != 7 {
		t.Errorf("%d was handed on, want 7", got)
	}
}
