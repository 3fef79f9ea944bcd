// SPDX-License-Identifier: Apache-2.0

//go:build unix

package watcher

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A program that was being started while a watcher ended holds its lock for a
// moment; the next watcher waits for that.
func TestLockIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	first, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	first()
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = held.Close() })
	second, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer second()
	if _, err := lock(dir); err == nil {
		t.Error("two have the folder")
	}
}
