// SPDX-License-Identifier: Apache-2.0

package kubelab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Save stops the cluster, copies what etcd holds into a folder that doesn't
// exist yet, and starts the cluster again.
func (c *Cluster) Save(ctx context.Context, folder string) error {
	if err := c.Stop(); err != nil {
		return err
	}
	err := os.CopyFS(folder, os.DirFS(c.data()))
	if err != nil {
		err = fmt.Errorf("save the cluster of %s: %w", c.opts.Dir, err)
	}
	return errors.Join(err, c.start(ctx))
}

// Restore ends the cluster as a crash would, puts back what Save copied, and
// starts the cluster again: objects, their resourceVersions and UIDs are those
// of then. With bump, etcd's revision is raised by that first, and what is below
// compacted, so that no resourceVersion comes back; without, they do.
func (c *Cluster) Restore(ctx context.Context, folder string, bump int) error {
	if err := c.Kill(); err != nil {
		return err
	}
	err := os.RemoveAll(c.data())
	if err == nil {
		err = os.CopyFS(c.data(), os.DirFS(folder))
	}
	if err != nil {
		return fmt.Errorf("restore the cluster of %s: %w", c.opts.Dir, err)
	}
	return c.start(ctx, fmt.Sprintf("--bump-revision=%d", bump))
}

// data is the folder of etcd.
func (c *Cluster) data() string { return filepath.Join(c.opts.Dir, "etcd") }

// Compact has etcd forget every state but the present one. The API server goes
// on to serve what it holds in memory; one that is started again after that
// answers 410 to who asks for what was before.
func (c *Cluster) Compact(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, c.binary, "compact", "--dir", c.opts.Dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("compact etcd: %w: %s", err, out)
	}
	return nil
}
