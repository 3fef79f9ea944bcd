// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/plumbline-dev/plumbline/test/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	without := os.Getenv("WITHOUT")
	if services := append(slices.Clone(rig.Services), rig.Notifier); without != "" && !slices.Contains(services, without) {
		return fmt.Errorf("WITHOUT=%s: it is one of %s", without, strings.Join(services, ", "))
	}
	dir, err := os.MkdirTemp("", "plumbline-demo-")
	if err != nil {
		return err
	}
	keep := os.Getenv("KEEP") == "1"
	tell := newTeller(os.Stdout)
	tell.begin("A Kubernetes control plane, a Git server, and receivers for traces and for Slack")
	from := time.Now()
	out, err := receive()
	if err != nil {
		return err
	}
	defer out.close()
	r, err := rig.New(ctx, out.on(rig.Options{Dir: dir, Bin: "bin", Detach: keep, Progress: os.Stderr}))
	if err != nil {
		return err
	}
	tell.proved(time.Since(from), "etcd, API server, controllers, scheduler and a node run on loopback (boot %s)", round(r.Cluster.BootTime()))
	s := &story{rig: r, out: out, tell: tell, without: without, patience: patience}
	if err := s.tellAll(ctx); err != nil {
		tell.failed(err)
		err = errors.New("the story ended early")
		if keep {
			return errors.Join(err, look(ctx, r, tell))
		}
		return errors.Join(err, cleanUp(r, dir))
	}
	tell.say("\nAll of it happened, in %s.", round(time.Since(tell.start)))
	if keep {
		return look(ctx, r, tell)
	}
	return cleanUp(r, dir)
}

func cleanUp(r *rig.Rig, dir string) error {
	return errors.Join(r.Close(), os.RemoveAll(dir))
}

// look leaves everything running until the person has seen enough.
func look(ctx context.Context, r *rig.Rig, tell *teller) error {
	plumbline, err := filepath.Abs(filepath.Join("bin", "plumbline"))
	if err != nil {
		return err
	}
	data := filepath.Join(r.Dir, "data")
	tell.say(`
Everything stays up until you press Ctrl-C. Look around in another terminal:

  %[1]s status --data %[2]s
  %[1]s events --data %[2]s --follow
  nats sub 'plumbline.v1.>' --server %[3]s --nkey %[4]s
  kubectl --kubeconfig %[5]s get all,cm -n shop
  cd %[6]s   # edit, git commit, git push; then: %[1]s sync --data %[2]s
  kubectl --kubeconfig %[5]s -n shop scale deployment web --replicas 5   # and see it healed`,
		plumbline, data, r.URL, r.Creds("reader"), r.Cluster.Kubeconfig(), filepath.Join(r.Git.Dir, "work", "shop"))
	<-ctx.Done()
	return cleanUp(r, r.Dir)
}
