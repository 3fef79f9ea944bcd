// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// layout is the directory of one cluster.
type layout string

func (l layout) kubeconfig() string { return l.path("kubeconfig") }
func (l layout) log() string        { return l.path("log") }
func (l layout) audit() string      { return l.path("audit.log") }
func (l layout) etcd() string       { return l.path("etcd") }
func (l layout) lock() string       { return l.path("lock") }
func (l layout) port() string       { return l.path("port") }
func (l layout) foreign() string    { return l.path("foreign") }

// pki is the path of a file among the certificates and keys.
func (l layout) pki(name string) string { return l.path("pki", name) }

// run is the path of a file that each start writes anew.
func (l layout) run(name string) string { return l.path("run", name) }

func (l layout) path(elem ...string) string {
	return filepath.Join(append([]string{string(l)}, elem...)...)
}

// create makes the directory and its folders, readable by its owner alone.
func (l layout) create() error {
	for _, dir := range []string{string(l), l.path("pki"), l.path("run"), l.etcd()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the cluster's directory: %w", err)
		}
	}
	return nil
}

// errRunning says that another process runs this directory's cluster.
var errRunning = errors.New("already running")

// acquire takes the directory for this process. The kernel gives it back when
// the process ends, however it ends, or when the returned file is closed.
//
// It is a POSIX record lock because that one names its holder; any close of the
// lock file by this process would drop it, so nothing else here opens it.
func (l layout) acquire() (*os.File, error) {
	file, err := os.OpenFile(l.lock(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	whole := syscall.Flock_t{Type: syscall.F_WRLCK}
	err = syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &whole)
	if err == nil {
		return file, nil
	}
	_ = file.Close() // the failed lock is what counts
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return nil, fmt.Errorf("%w in %s; stop it with: kubelab down --dir %s", errRunning, string(l), string(l))
	}
	return nil, fmt.Errorf("lock %s: %w", l.lock(), err)
}

// holder is the pid of the process that runs this directory's cluster, or 0.
func (l layout) holder() (int, error) {
	file, err := os.OpenFile(l.lock(), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open lock: %w", err)
	}
	defer func() { _ = file.Close() }() // nothing was written

	whole := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &whole); err != nil {
		return 0, fmt.Errorf("probe lock: %w", err)
	}
	if whole.Type == syscall.F_UNLCK {
		return 0, nil
	}
	return int(whole.Pid), nil
}
