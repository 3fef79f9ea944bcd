// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// executable is this very program, also after its file was replaced.
func executable() (string, error) { return "/proc/self/exe", nil }

// isolate gives a command a user and a network namespace of its own, in which
// there is no network but an idle loopback (user_namespaces(7),
// network_namespaces(7)).
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}},
	}
}

// keepFiles keeps from children the files that were open to this process when it
// began: whoever started it may have left some that no child is to have. Those
// that Go opens no child has (close_range(2), since Linux 5.11; where a kernel, or
// who filters its calls, doesn't know it, they have them).
func keepFiles() {
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}

// confineSystem has the kernel refuse what a render never does: write files,
// dump core, open more than a few files, gain rights.
func confineSystem() error {
	for resource, limit := range map[int]uint64{
		unix.RLIMIT_CORE:   0,
		unix.RLIMIT_FSIZE:  0,
		unix.RLIMIT_NOFILE: 32,
	} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("limit a render child: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("limit a render child: %w", err)
	}
	return nil
}

// resident is the memory that a process holds, in bytes: the second field of
// /proc/<pid>/statm, in pages (proc_pid_statm(5)).
func resident(pid int) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
		return 0, err
	}
	return pages * int64(os.Getpagesize()), nil
}
