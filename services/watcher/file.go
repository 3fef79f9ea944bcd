// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/plumbline-dev/plumbline/events"
)

// openFile runs git upload-pack on a directory of this machine. Its
// environment is empty but for PATH and HOME: a GIT_DIR of the caller's would
// lead it elsewhere.
func openFile(ctx context.Context, e endpoint) (session, error) {
	cmd := exec.CommandContext(ctx, "git", "upload-pack", "--strict", gitDir(e.path))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LC_ALL=C"}
	stderr := &tail{}
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, refuse(events.ReasonUnreachable, err, "a file:// repository needs the git command, which is not installed")
		}
		return nil, err
	}
	// It fails with the exit status, of which stderr says more.
	wait := sync.OnceFunc(func() { _ = cmd.Wait() })
	s := &stream{in: in, out: out, stderr: stderr, exited: wait, finish: func() {
		_, _ = in.Close(), out.Close() // a broken pipe is how it learns that it is over
		wait()
	}}
	return s.start(ctx), nil
}

// gitDir is the .git of a work tree, or the path itself: --strict looks no
// further.
func gitDir(path string) string {
	if _, err := os.Stat(filepath.Join(path, ".git")); err == nil {
		return filepath.Join(path, ".git")
	}
	return path
}
