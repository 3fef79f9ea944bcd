// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// failpoints is the variable that internal/failpoint reads in a binary that was
// built with it.
const failpoints = "PLUMBLINE_FAILPOINTS="

// Arm has a process break by rules of internal/failpoint from its next start
// on; without rules it breaks no more. It takes binaries that were built with
// the tag failpoints; others don't look at it.
func (p *Process) Arm(rules ...string) {
	p.Env = slices.DeleteFunc(slices.Clone(p.Env), func(s string) bool { return strings.HasPrefix(s, failpoints) })
	if len(rules) > 0 {
		p.Env = append(p.Env, failpoints+strings.Join(rules, ","))
	}
}

// clock is the variable that internal/failpoint reads where a clock can be put
// off.
const clock = "PLUMBLINE_CLOCK="

// OwnClock has every process read a file of its own that says how far its
// clock is off, from its next start on; see [Rig.SetClock].
func (r *Rig) OwnClock() {
	for name, p := range r.processes {
		p.Env = append(slices.Clone(p.Env), clock+r.clockFile(name))
	}
}

// SetClock puts the wall clock of a process off, at once and for as long as
// nothing else is set. It takes binaries that were built with the tag
// failpoints, on linux/amd64.
func (r *Rig) SetClock(process string, off time.Duration) error {
	return r.writeClock(process, off.String())
}

// RunClock has the wall clock of a process run so many times as fast as it
// should from now on, until [Rig.SetClock] sets it. It takes what that takes.
func (r *Rig) RunClock(process string, rate float64) error {
	return r.writeClock(process, fmt.Sprintf("0s %g %d", rate, time.Now().UnixNano()))
}

func (r *Rig) writeClock(process, says string) error {
	path := r.clockFile(process)
	err := os.WriteFile(path+".new", []byte(says), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("rig: set the clock of %s: %w", process, err)
	}
	return nil
}

func (r *Rig) clockFile(process string) string { return filepath.Join(r.Dir, "clock-"+process) }
