// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"syscall"
)

// divertStderr sends what libraries write to standard error unasked, etcd's
// client among them, to file until restore is called.
func divertStderr(file *os.File) (restore func(), err error) {
	own, err := syscall.Dup(syscall.Stderr)
	if err != nil {
		return nil, fmt.Errorf("divert standard error: %w", err)
	}
	if err := syscall.Dup3(int(file.Fd()), syscall.Stderr, 0); err != nil {
		return nil, fmt.Errorf("divert standard error: %w", err)
	}
	return func() { _ = syscall.Dup3(own, syscall.Stderr, 0) }, nil // else the error is in the log alone
}
