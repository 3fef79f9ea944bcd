// SPDX-License-Identifier: Apache-2.0

// Command install puts the kubelab binary at the path given, building it when
// the cache has none:
//
//	go run ./test/kubelab/install bin/kubelab
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/plumbline-dev/plumbline/test/kubelab"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: install PATH")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := install(ctx, os.Args[1])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// install makes path a link to the cached binary, or a copy where no link can
// be made. A kubelab that runs from path is not disturbed.
func install(ctx context.Context, path string) error {
	binary, err := kubelab.Binary(ctx, os.Stderr)
	if err != nil {
		return err
	}
	if same(binary, path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("install kubelab: %w", err)
	}
	temp := fmt.Sprintf("%s.%d", path, os.Getpid()) // two installs don't meet
	if os.Link(binary, temp) != nil {
		// The cache is on another file system.
		if err := copyFile(binary, temp); err != nil {
			return fmt.Errorf("install kubelab: %w", err)
		}
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("install kubelab: %w", err)
	}
	return nil
}

func same(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()                                    // read only
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755) //nolint:gosec // G302: a program must be executable
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		return errors.Join(err, target.Close())
	}
	return target.Close()
}
