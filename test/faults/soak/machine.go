// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// commit is the newest one that changed anything but docs; what is changed and
// not committed is told by a mark.
func commit() (string, error) {
	head, err := exec.Command("git", "log", "-1", "--format=%H", "--", ":/", ":(top,exclude)docs").Output()
	if err != nil {
		return "", fmt.Errorf("find the commit: %w", err)
	}
	changed, err := exec.Command("git", "status", "--porcelain", "--", ":/", ":(top,exclude)docs").Output()
	if err != nil {
		return "", fmt.Errorf("find the commit: %w", err)
	}
	id := strings.TrimSpace(string(head))
	if len(changed) > 0 {
		id += "-dirty"
	}
	return id, nil
}

// machine describes what this runs on.
func machine() string {
	model := "a processor that says no name"
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s/%s, %d cores of %s, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), model, runtime.Version())
}
