// SPDX-License-Identifier: Apache-2.0

//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
	_ "unsafe" // for go:linkname
)

// ClockVariable is the environment variable that names a file with how far the
// wall clock of this process is off, as time.ParseDuration reads it. Where a rate
// and a moment follow, as in "0s 2 1795763900000000000", it runs that many times
// as fast as it should from that moment on, which is in nanoseconds of Unix time.
// The file is read over and over: a jump is a file that is replaced. Empty or
// absent it says that the clock is right.
const ClockVariable = "PLUMBLINE_CLOCK"

// lookAtClock is how often the file is read.
const lookAtClock = 50 * time.Millisecond

// The kernel tells the time by a function that it maps into the process, and
// the Go runtime keeps where that is in a variable, which it allows others to
// set. So everything in the process sees the clock that is off, whoever wrote
// it: time.Now, and what counts from a time that was written down. Monotonic
// readings are right, as they are on a machine whose clock is set.
//
//go:linkname vdsoClockgettimeSym runtime.vdsoClockgettimeSym
var vdsoClockgettimeSym uintptr

var (
	rightClock uintptr                   //nolint:unused // the kernel's function, which wrongClock calls
	wrong      atomic.Pointer[wrongness] // read by wrongClock; nil: the clock is right
	said       string                    // what the file said last
)

// wrongness is what is wrong with the clock. It is never changed, as wrongClock
// may be reading it.
type wrongness struct {
	off   time.Duration
	from  int64 // Unix time in nanoseconds
	drift int64 // 1024ths of the time that it gains since from
}

// kept are all that there ever were: who reads one is no goroutine that the
// collector would wait for.
var kept []*wrongness

// wrongClockAddress is where wrongClock is, as the runtime calls it: by the
// kernel's convention, not by Go's.
func wrongClockAddress() uintptr

func init() {
	path := os.Getenv(ClockVariable)
	if path == "" || vdsoClockgettimeSym == 0 {
		return
	}
	rightClock = vdsoClockgettimeSym
	setClock(path)
	atomic.StoreUintptr(&vdsoClockgettimeSym, wrongClockAddress())
	go func() {
		for range time.Tick(lookAtClock) {
			setClock(path)
		}
	}()
}

// setClock takes over what the file says now.
func setClock(path string) {
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", ClockVariable, err)
		return
	}
	says := strings.TrimSpace(string(text))
	if says == said {
		return
	}
	w, err := readClock(says)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", ClockVariable, err)
		return
	}
	said, kept = says, append(kept, w)
	wrong.Store(w)
	fmt.Fprintf(os.Stderr, "failpoint clock %s\n", says)
}

// readClock reads what a file says.
func readClock(says string) (*wrongness, error) {
	fields := strings.Fields(says)
	if len(fields) == 0 {
		return nil, nil
	}
	w := &wrongness{}
	var err error
	if w.off, err = time.ParseDuration(fields[0]); err != nil || len(fields) == 1 {
		return w, err
	}
	var rate float64
	if _, err := fmt.Sscan(strings.Join(fields[1:], " "), &rate, &w.from); err != nil {
		return nil, err
	}
	w.drift = int64((rate - 1) * 1024)
	return w, nil
}
