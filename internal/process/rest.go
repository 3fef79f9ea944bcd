// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// restLook is how often it is looked whether work is over.
	restLook = 10 * time.Second
	// restBurst is how many bytes have to have been allocated since memory was
	// last given back, for that to be worth a collection.
	restBurst = 16 << 20
	// restQuiet is how many bytes a process allocates between two looks in
	// which nothing happens: heartbeats, and what asks how it is.
	restQuiet = 4 << 20
)

// resting tells, from how many bytes were ever allocated, when a burst of work
// is over.
type resting struct{ last, back uint64 }

func (r *resting) over(allocated uint64) bool {
	quiet := allocated-r.last < restQuiet
	r.last = allocated
	if !quiet || allocated-r.back < restBurst {
		return false
	}
	r.back = allocated
	return true
}

// Rest gives back to the system, until ctx ends, what a burst of work has left
// in the heap: a collection runs when twice the live heap is in use, which
// after a burst, with next to nothing to do, is a long time.
func Rest(ctx context.Context) {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	tick := time.NewTicker(restLook)
	defer tick.Stop()
	var r resting
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(sample)
		if r.over(sample[0].Value.Uint64()) {
			debug.FreeOSMemory()
		}
	}
}
