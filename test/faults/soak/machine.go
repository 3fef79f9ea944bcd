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

// commit is the commit that is checked out; what is changed and not committed,
// docs left out, is told by a mark.
func commit() (string, error) {
	head, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil {
		return "", fmt.Errorf("find the commit: %w", err)
	}
	changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no", "--", ":!docs").Output()
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
