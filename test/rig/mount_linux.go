// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"syscall"
)

// mountMemory mounts a file system of so many bytes in memory.
func mountMemory(path string, size int64) error {
	return syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size))
}

// unmount unmounts at once, also where somebody has a file open.
func unmount(path string) error { return syscall.Unmount(path, syscall.MNT_DETACH) }
