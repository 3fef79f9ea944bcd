// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"os"
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
	// workPercent is how much of what lives is allocated between two collections
	// (GOGC). Little lives in these processes, so that at Go's 100 collecting took
	// a tenth of what they use, all for memory that is given back at rest.
	workPercent = 200
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

// Rest lets the heap grow while there is work, to three times what lives where
// GOGC says nothing else, and gives back to the system, until ctx ends, what a
// burst of work has left in it: with next to nothing to do, the next collection is
// a long time off. GOMEMLIMIT bounds both.
func Rest(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(workPercent)
	}
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
