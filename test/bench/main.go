// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// resync is short, so that the bench sees several.
const resync = 5 * time.Second

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "plumbline-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r, err := rig.New(ctx, rig.Options{Dir: dir, Bin: "bin", Audit: true, Progress: os.Stderr, Resync: resync})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	fmt.Printf("control plane boot               %8s\n", r.Cluster.BootTime().Round(time.Millisecond))
	if err := r.Up(ctx); err != nil {
		return err
	}
	repo, err := r.Repo("fifty")
	if err != nil {
		return err
	}
	b := &bench{rig: r, repo: repo}
	for _, part := range []func(context.Context) error{b.converge, b.latency, b.quiet} {
		if err := part(ctx); err != nil {
			return fmt.Errorf("%w; the bus saw last:\n%s", err, b.heard())
		}
	}
	return nil
}

type bench struct {
	rig  *rig.Rig
	repo *gitserver.Repo
}

// heard are the last events, for a message about what did not come.
func (b *bench) heard() string {
	seen := b.rig.Bus.Since(0)
	var lines strings.Builder
	for _, e := range seen[max(0, len(seen)-10):] {
		fmt.Fprintf(&lines, "  %s %s %s\n", e.At.Format("15:04:05.000"), e.Type.Name(), e.Application)
	}
	return lines.String()
}

// patience bounds every wait.
const patience = 2 * time.Minute

// push commits, pushes over HTTP and rings the webhook; it returns when the
// push was answered.
func (b *bench) push(ctx context.Context, repo *gitserver.Repo, c gitserver.Commit) (time.Time, error) {
	if _, err := repo.Commit(c); err != nil {
		return time.Time{}, err
	}
	if err := b.rig.Push(ctx, repo); err != nil {
		return time.Time{}, err
	}
	pushed := time.Now()
	return pushed, b.rig.Ring(ctx, repo)
}
