// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package renderer

import (
	"os"
	"os/exec"
)

// executable is this program's file.
func executable() (string, error) { return os.Executable() }

// isolate does nothing where there are no namespaces; the child still has no
// HTTP client and no program to run.
func isolate(*exec.Cmd) {}

func keepFiles() {}

func confineSystem() error { return nil }

// resident can't be told here; the child's own memory limit holds.
func resident(int) (int64, error) { return 0, nil }
