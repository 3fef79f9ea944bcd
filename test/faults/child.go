// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"time"
)

// childFaults are the ends of what the renderer renders in.
var childFaults = []Fault{
	{
		Row: "F14", Name: "crashing-commit", About: "a commit of one application that crashes each process that renders it: quarantined after three tries, the others go on, and the next revision lifts it",
		Alone: true, Weight: 2, Needs: NeedFailpoints, Shape: (*Script).crash, Awaits: quarantined,
	},
	{
		Row: "F14", Name: "render-child-killed", About: "the processes in which the renderer renders killed, twice at any moment: what an input that crashes its worker looks like, fewer times than it takes for the quarantine",
		Weight: 2, Hold: Span{time.Second, 3 * time.Second}, Inject: killChildren,
	},
}

// crash has an application's commit crash its render, for this round alone.
func (s *Script) crash() {
	app, r, ok := s.pick()
	if !ok {
		return
	}
	dir := r.tip.Dirs[app.Name].edit()
	dir.Broken = BrokenCrash
	s.forNow(app, r, "have the render of "+app.Name+" crash", dir)
	for range 3 { // the others go on
		if other, ref, ok := s.pick(); ok && ref != r {
			s.Change(other, ref)
		}
	}
}

// quarantined says that the newest revision of whoever crashes its render was
// set aside.
func quarantined(r *Recorder) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.last {
		if e.Type == "render.failed" && e.Reason == reasonQuarantined && r.last["commit.observed "+e.App].Sequence == e.Sequence {
			return true
		}
	}
	return false
}

// reasonQuarantined is the reason of an outcome that was set aside after it had
// failed too often.
const reasonQuarantined = "quarantined"

// childKills is how often the renderer's children are killed: an input that
// crashes three is set aside.
const childKills = 2

// killChildren kills the renderer's children, at moments that the seed decides.
func killChildren(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	var waits []time.Duration
	for range childKills {
		waits = append(waits, time.Duration(rng.IntN(900))*time.Millisecond)
	}
	renderer := w.Process("renderer").PID()
	go func() {
		killed := 0
		var errs []error
		for _, wait := range waits {
			if pause(ctx, wait) != nil {
				break
			}
			for _, pid := range childrenOf(renderer) {
				if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
					killed++
				} else if !errors.Is(err, syscall.ESRCH) {
					errs = append(errs, err)
				}
			}
		}
		w.Note(fmt.Sprintf("%d children of the renderer were killed", killed))
		if killed == 0 {
			w.Missed("the renderer had no children")
		}
		ended <- errors.Join(errs...)
	}()
	return func(context.Context) error { cancel(); return <-ended }, nil
}

// childrenOf are the processes whose parent a process is.
func childrenOf(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil // there is none on this system: then nobody is killed, which the note says
	}
	var all []int
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // state, parent, …
		if len(fields) > 1 && string(fields[1]) == strconv.Itoa(pid) {
			all = append(all, child)
		}
	}
	return all
}
