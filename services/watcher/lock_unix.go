// SPDX-License-Identifier: Apache-2.0

//go:build unix

package watcher

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockPatience is how long a lock may be held after its watcher has ended: a
// program that is being started holds what this process has open until it
// runs.
const lockPatience = 2 * time.Second

// lock takes the mirrors for this process alone: two that clean up in one
// folder would take each other's packs away. The kernel frees it with the
// process.
func lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(20 * time.Millisecond) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			break
		}
	}
	if err == nil {
		return func() { _ = f.Close() }, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.New("another watcher uses this folder; end it, or give this one its own")
	}
	return nil, fmt.Errorf("lock: %w", err)
}
