// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/kubelab"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// quiet counts what Plumbline asks of the API server when there is nothing to
// do.
func (b *bench) quiet(ctx context.Context) error {
	fmt.Printf("\nAPI requests by user, %d converged applications (watches and leases apart)\n", applications)
	if err := b.settle(ctx); err != nil {
		return err
	}
	for _, row := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"after sync", b.sync},
		{"after a commit outside all read sets", b.outside},
		{fmt.Sprintf("over two forced resyncs, %s apart", resync), b.resynced},
	} {
		from := time.Now()
		if err := row.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
		counts, err := b.count(ctx, from)
		if err != nil {
			return err
		}
		fmt.Printf("  %-40s %s\n", row.name, counts)
	}
	return b.unseenEdit(ctx)
}

// settle waits until what the bench did before has been worked off.
func (b *bench) settle(ctx context.Context) error {
	if err := b.rig.Drained(ctx); err != nil {
		return err
	}
	return pause(ctx, 2*time.Second)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *bench) sync(ctx context.Context) error {
	if out, err := b.rig.CLI(ctx, "sync"); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return b.rig.Drained(ctx)
}

func (b *bench) outside(ctx context.Context) error {
	mark := b.rig.Bus.Mark()
	if _, err := b.push(ctx, b.repo, gitserver.Commit{Files: map[string]string{"README.md": "Still fifty.\n"}}); err != nil {
		return err
	}
	if _, err := b.all(ctx, mark, "manifests.unchanged"); err != nil {
		return err
	}
	return b.rig.Drained(ctx)
}

func (b *bench) resynced(ctx context.Context) error {
	return pause(ctx, 2*resync+time.Second)
}

// unseenEdit shows that the silence is not blindness.
func (b *bench) unseenEdit(ctx context.Context) error {
	if err := b.rig.Kill("auditor"); err != nil {
		return err
	}
	started := time.Time{}
	value, err := b.value(ctx, namespace, item(1))
	if err != nil {
		return err
	}
	_, err = b.seen(ctx, namespace, item(1), value, func(ctx context.Context) (time.Time, error) {
		if err := b.rig.Kube.Edit(ctx, rig.ConfigMaps, namespace, item(1), `{"data":{"v":"by hand"}}`, "kubectl-edit"); err != nil {
			return time.Time{}, err
		}
		started = time.Now()
		return started, b.rig.Start("auditor")
	})
	if err != nil {
		return err
	}
	fmt.Printf("  a hand edit made while the auditor was down is healed %s after it starts\n", short(time.Since(started)))
	return nil
}

// count returns Plumbline's requests since from, by user.
func (b *bench) count(ctx context.Context, from time.Time) (string, error) {
	// The audit log is written a moment after the response.
	if err := pause(ctx, time.Second); err != nil {
		return "", err
	}
	requests, err := b.rig.Cluster.Requests(from)
	if err != nil {
		return "", err
	}
	counts := map[string]int{"plumbline-applier-local": 0, "plumbline-auditor-local": 0}
	var kinds []string
	for _, r := range requests {
		if !strings.HasPrefix(r.User, "plumbline-") || r.Verb == "watch" || r.Resource == "leases" {
			continue
		}
		counts[r.User]++
		kinds = append(kinds, what(r))
	}
	var parts []string
	for _, user := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", strings.TrimSuffix(strings.TrimPrefix(user, "plumbline-"), "-local"), counts[user]))
	}
	slices.Sort(kinds)
	return strings.Join(append(parts, slices.Compact(kinds)...), "  "), nil
}

func what(r kubelab.Request) string { return r.Verb + " " + r.Resource }
