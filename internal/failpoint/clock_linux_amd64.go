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
// wall clock of this process is off, as time.ParseDuration reads it, in whole
// seconds. The file is read over and over: a jump is a file that is replaced.
// Empty or absent it says that the clock is right.
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
	rightClock uintptr //nolint:unused // the kernel's function, which wrongClock calls
	clockOff   int64   // seconds; read by wrongClock
)

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
	off := time.Duration(0)
	if field := strings.TrimSpace(string(text)); field != "" {
		if off, err = time.ParseDuration(field); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", ClockVariable, err)
			return
		}
	}
	if seconds := int64(off / time.Second); atomic.SwapInt64(&clockOff, seconds) != seconds {
		fmt.Fprintf(os.Stderr, "failpoint clock %s\n", off)
	}
}
