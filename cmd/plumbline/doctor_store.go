// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"syscall"
)

const (
	roomWarn = 2 << 30   // bytes left on the disk of the store
	roomFail = 100 << 20 // the bus is about to refuse what is published
)

// checkStore looks how much room is left on the disk of a bus that runs here.
func (x *examination) checkStore(context.Context) []finding {
	if x.running == nil {
		return []finding{{
			Check: "store", Verdict: verdictSkip, Message: "the disk of the bus is not seen from here",
			Remedy: "run doctor on its machine, with --data",
		}}
	}
	dir := place(x.at.data).nats()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return []finding{{Check: "store", Subject: dir, Verdict: verdictSkip, Message: err.Error(), Remedy: "run doctor on the machine of the bus"}}
	}
	free := s.Bavail * uint64(s.Bsize) //nolint:gosec // a block has a size
	f := finding{Check: "store", Subject: dir, Verdict: verdictOK, Message: bytesText(free) + " free"}
	switch {
	case free < roomFail:
		f.Verdict = verdictFail
	case free < roomWarn:
		f.Verdict = verdictWarn
	}
	if f.Verdict != verdictOK {
		f.Remedy = fmt.Sprintf("make room on the disk of %s: the bus refuses what it can't store", dir)
	}
	return []finding{f}
}
