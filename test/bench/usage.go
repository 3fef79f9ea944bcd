// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sampleEvery is how often memory is looked at.
const sampleEvery = 100 * time.Millisecond

// ticks is the unit of times in /proc: 100 a second on Linux, whatever the
// kernel's own (proc(5), sysconf(_SC_CLK_TCK)).
const tick = 10 * time.Millisecond

// spent is what a process tree has used and holds.
type spent struct {
	CPU      time.Duration
	Resident int64 // bytes, shared pages in each process
}

// usage tells what the process trees of a scene use. Its samples take a share of
// the machine that is measured: they are taken only where a peak is asked for.
type usage struct {
	roots func() map[string]int
	end   chan struct{} // of sampling; nil: nobody samples
	done  sync.WaitGroup
	peak  map[string]int64 // resident bytes, by root; "": of all together; the sampler's until done
}

// follow begins to sample what the trees hold; peaks ends that.
func (u *usage) follow() {
	u.stop()
	u.peak, u.end = map[string]int64{}, make(chan struct{})
	u.done.Go(func() {
		every := time.NewTicker(sampleEvery)
		defer every.Stop()
		for {
			u.sample()
			select {
			case <-every.C:
			case <-u.end:
				return
			}
		}
	})
}

// stop ends the sampling, if there is any.
func (u *usage) stop() {
	if u.end != nil {
		close(u.end)
		u.done.Wait()
		u.end = nil
	}
}

func (u *usage) sample() {
	var all int64
	for name, s := range u.now() {
		all += s.Resident
		u.peak[name] = max(u.peak[name], s.Resident)
	}
	u.peak[""] = max(u.peak[""], all)
}

// peaks are the most that each tree, and "" all together, held since follow.
func (u *usage) peaks() map[string]int64 {
	u.stop()
	u.sample()
	return u.peak
}

// now is what each tree has used and holds.
func (u *usage) now() map[string]spent {
	trees := map[string]spent{}
	for name, pid := range u.roots() {
		trees[name] = tree(pid)
	}
	return trees
}

// tree sums a process and its descendants. One that ends meanwhile counts with
// its parent, who has waited for it.
func tree(pid int) spent {
	s := alone(pid)
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is well formed
	for _, path := range threads {
		list, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		for child := range strings.FieldsSeq(string(list)) {
			if id, err := strconv.Atoi(child); err == nil {
				below := tree(id)
				s.CPU += below.CPU
				s.Resident += below.Resident
			}
		}
	}
	return s
}

// alone is one process, with the time of children that have ended
// (proc_pid_stat(5), fields 14 to 17 and 24).
func alone(pid int) spent {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return spent{} // it has ended
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const first = 3 // the number of the first field behind the name
	number := func(field int) int64 {
		n, _ := strconv.ParseInt(string(fields[field-first]), 10, 64) // the kernel writes numbers
		return n
	}
	return spent{
		CPU:      time.Duration(number(14)+number(15)+number(16)+number(17)) * tick,
		Resident: number(24) * int64(os.Getpagesize()),
	}
}

// since is the CPU time that each tree has used since an earlier look.
func since(before, now map[string]spent) map[string]time.Duration {
	used := map[string]time.Duration{}
	for name, s := range now {
		used[name] = s.CPU - before[name].CPU
	}
	return used
}

func sum(used map[string]time.Duration) time.Duration {
	var all time.Duration
	for _, d := range used {
		all += d
	}
	return all
}
