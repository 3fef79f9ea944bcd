// SPDX-License-Identifier: Apache-2.0

package kubelab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// stopTimeout bounds an orderly end, after which the process is killed.
const stopTimeout = 20 * time.Second

// Options say what cluster to run. Only Dir must be given.
type Options struct {
	Dir      string    // made when missing; the same directory is the same cluster
	Nodes    int       // default 1
	Audit    bool      // record every request for [Cluster.Requests]
	Detach   bool      // outlive this process; end it with kubelab down --dir
	Progress io.Writer // told about a first build; default: nobody
}

// Cluster is a control plane in a child process. Its methods may be called
// from several goroutines, but only one at a time may start it or end it.
type Cluster struct {
	opts     Options
	binary   string
	template string                  // the data that it begins with; empty: none
	last     atomic.Pointer[process] // the running process, or the one that ran last
}

// Start runs the cluster of opts.Dir and returns once a pod would run there.
// The first start on a machine builds kubelab, which takes minutes. Unless
// detached, the cluster ends with this process, however that ends.
//
// A new directory begins with a copy of what etcd held after a first start, which
// saves a fifth of the start's processor time. Its authority, keys and address
// are its own; the objects that Kubernetes makes by itself have the UIDs and
// creation times that they have in every other cluster of this binary.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	if opts.Dir == "" {
		return nil, errors.New("start kubelab: Options.Dir is empty")
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("start kubelab: %w", err)
	}
	opts.Dir = dir
	if opts.Nodes == 0 {
		opts.Nodes = 1
	}
	binary, err := Binary(ctx, opts.Progress)
	if err != nil {
		return nil, err
	}
	template, err := ensureTemplate(ctx, binary)
	if err != nil {
		return nil, fmt.Errorf("start kubelab: %w", err)
	}
	c := &Cluster{opts: opts, binary: binary, template: template}
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, more ...string) error {
	parent := os.Getpid()
	if c.opts.Detach {
		parent = 0
	}
	args := []string{"up", "--dir", c.opts.Dir, "--nodes", strconv.Itoa(c.opts.Nodes), "--parent-pid", strconv.Itoa(parent), "--template", c.template}
	if c.opts.Audit {
		args = append(args, "--audit")
	}
	proc, err := startProcess(ctx, c.binary, append(args, more...))
	if err != nil {
		return fmt.Errorf("start kubelab in %s: %w", c.opts.Dir, err)
	}
	c.last.Store(proc)
	return nil
}

// Dir is the cluster's directory.
func (c *Cluster) Dir() string { return c.opts.Dir }

// Binary is the path of the kubelab binary that runs it.
func (c *Cluster) Binary() string { return c.binary }

// Kubeconfig is the path of the administrator's kubeconfig. The administrator
// is in system:masters: neither RBAC nor priority and fairness bind it.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.opts.Dir, "kubeconfig") }

// Server is the API server's URL. It stays the same over restarts.
func (c *Cluster) Server() string { return c.last.Load().ready["server"] }

// PID is the process's id.
func (c *Cluster) PID() int { return c.last.Load().cmd.Process.Pid }

// BootTime is how long the last start took, from the start of the process
// until a pod would run.
func (c *Cluster) BootTime() time.Duration { return c.last.Load().boot }

// Done is closed once the process has ended.
func (c *Cluster) Done() <-chan struct{} { return c.last.Load().done }

// UserKubeconfig mints a client certificate for a user and returns the path of
// a kubeconfig with it. The user may do what RBAC grants to name and groups;
// binding that is the caller's part.
func (c *Cluster) UserKubeconfig(name string, groups ...string) (string, error) {
	path := filepath.Join(c.opts.Dir, "users", url.PathEscape(name))
	args := []string{"kubeconfig", "--dir", c.opts.Dir, "--user", name, "--out", path}
	for _, group := range groups {
		args = append(args, "--group", group)
	}
	if out, err := exec.Command(c.binary, args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("mint kubeconfig of %s: %w: %s", name, err, out)
	}
	return path, nil
}

// Stop ends the cluster in order and returns once its process has ended. Its
// data stays. It is no error when it has ended already.
func (c *Cluster) Stop() error {
	process := c.last.Load()
	if err := process.signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop kubelab: %w", err)
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-process.done:
		return nil
	case <-timer.C:
		return errors.Join(fmt.Errorf("stop kubelab: still running after %s, killed", stopTimeout), c.Kill())
	}
}

// Kill ends the process at once (SIGKILL), as a crash would, and returns once
// it has ended.
func (c *Cluster) Kill() error {
	process := c.last.Load()
	if err := process.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill kubelab: %w", err)
	}
	<-process.done
	return nil
}

// Pause freezes the whole control plane (SIGSTOP): connections stay open and
// nothing answers, until [Cluster.Resume].
func (c *Cluster) Pause() error { return c.last.Load().signal(syscall.SIGSTOP) }

// Resume undoes [Cluster.Pause].
func (c *Cluster) Resume() error { return c.last.Load().signal(syscall.SIGCONT) }

// Restart starts the cluster again with the data, address and certificates
// that it had, after stopping it when it still runs.
func (c *Cluster) Restart(ctx context.Context) error {
	if err := c.Stop(); err != nil {
		return err
	}
	return c.start(ctx)
}
