// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"fmt"
	"log/slog"

	"k8s.io/client-go/rest"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/cluster"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// concurrency is how many applications are worked on at once. Most of the time
// each waits for an answer of the API server or the bus, and its requests
// follow one another: the inventory, phase by phase, the inventory.
const concurrency = 16

// Run converges one cluster until ctx ends.
func Run(ctx context.Context, env process.Env, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	rc, err := cluster.Config(cfg.Kubeconfig)
	if err != nil {
		return err
	}
	var identity *seal.Identity
	if cfg.Identity == "" {
		env.Log.Warn("without --age-identity no sealed value can be opened: Secrets of Git are not applied, and their applications fail; 'plumbline keys init' makes an identity")
	} else {
		i, err := seal.LoadIdentity(cfg.Identity)
		if err != nil {
			return fmt.Errorf("--age-identity: %w", err)
		}
		identity = &i
	}
	cfg.Bus.Version, cfg.Bus.Waiting, cfg.Bus.Telemetry = env.Version, env.Health.Waiting, env.Telemetry
	conn, err := bus.Connect(ctx, cfg.Bus, env.Log)
	if err != nil {
		return err
	}
	defer conn.Close()
	return serve(ctx, cfg, conn, rc, identity, env.Log, env.Health)
}

// serve runs an applier over a connection to the bus and to a cluster.
func serve(ctx context.Context, cfg Config, conn *bus.Conn, rc *rest.Config, identity *seal.Identity, log *slog.Logger, health *process.Health) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	log = log.With("cluster", cfg.Cluster)
	a, err := newApplier(ctx, cfg, conn, rc, identity, log)
	if err != nil {
		return err
	}
	return a.run(ctx, cfg, health)
}

// run works until ctx ends, which is the applier's own.
func (a *applier) run(ctx context.Context, cfg Config, health *process.Health) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	a.consumer = a.bus.Consumer("applier-"+cfg.Cluster, a.handle, bus.Options{Concurrency: concurrency, Failed: a.failed, Settled: a.settled})
	inventories := newInventoryWatch(a)
	a.observer.done.Go(func() { inventories.run(ctx) })
	a.observer.done.Go(func() { a.followHealth(ctx) })
	a.observer.done.Go(func() { a.resyncOnTimer(ctx, cfg.Resync) })
	health.Check("bus", a.bus.Ready)
	health.Check("cluster", func() error {
		select {
		case <-inventories.synced:
		default:
			return fmt.Errorf("the API server of cluster %s was not reached yet", cfg.Cluster)
		}
		if inventories.away.Load() {
			return fmt.Errorf("the API server of cluster %s does not answer", cfg.Cluster)
		}
		return nil
	})
	defer a.observer.done.Wait()
	defer stop()
	select {
	case <-inventories.synced: // what is there is known before the first event
	case <-ctx.Done():
		return nil
	}
	a.resync(events.Event{})
	return a.consumer.Run(ctx)
}

// handle is the applier's answer to every event.
func (a *applier) handle(ctx context.Context, in events.Event) ([]events.Draft, error) {
	switch p := in.Data.(type) {
	case *events.ManifestsRendered, *events.ManifestsUnchanged:
		return a.converge(ctx, a.newTask(a.application(in.Application), in, causeRevision))
	case *events.DivergenceDetected:
		return a.heal(ctx, in, &p.Divergence)
	case *events.DivergencePersisted: // whatever kept it from being healed the first time
		return a.heal(ctx, in, &p.Divergence)
	case *events.ApprovalGiven:
		return a.approve(ctx, in, p)
	case *events.FleetObserved:
		f, err := a.learnFleet(ctx)
		if err != nil || f == nil {
			return nil, err
		}
		a.withdrawAll(f)
		return nil, nil
	case *events.SyncRequested:
		a.resync(in)
		return nil, nil
	}
	return nil, nil
}

// failed is what is published of a bundle that is at fault, if a look at the level
// hasn't said it already.
func (a *applier) failed(in events.Event, reason events.Reason, message string) []events.Draft {
	m := manifestsOf(in)
	if m == nil {
		return nil
	}
	t := a.newTask(a.application(in.Application), in, causeRevision)
	if drafts := a.failWhole(t, reason, message); drafts != nil {
		return drafts
	}
	return []events.Draft{}
}
