// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	kube "github.com/plumbline-dev/plumbline/internal/cluster"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// Auditor audits one cluster.
type Auditor struct {
	cfg       Config
	log       *slog.Logger
	conn      *bus.Conn
	consumer  *bus.Consumer
	cluster   *cluster
	cache     *cache
	readers   *readers
	backlog   *backlog
	fleet     *fleet
	bundles   *bundles
	digestKey seal.DigestKey

	mu      sync.Mutex
	apps    map[string]*application
	timers  map[string]*time.Timer
	stopped bool
	count   uint64 // of levels read, for their causes
	open    openCount
}

// Run audits until ctx ends. It returns an error only where it can't begin.
func Run(ctx context.Context, env process.Env, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	config, err := kube.Config(cfg.Kubeconfig)
	if err != nil {
		return err
	}
	config.Wrap(measured(env.Telemetry.Counter("plumbline.kubernetes.requests")))
	cluster, err := newCluster(cfg.Cluster, config, env.Version)
	if err != nil {
		return err
	}
	var key seal.DigestKey
	if cfg.DigestKey != "" {
		if key, err = seal.LoadDigestKey(cfg.DigestKey); err != nil {
			return err
		}
	}
	cfg.Bus.Version, cfg.Bus.Waiting, cfg.Bus.Telemetry = env.Version, env.Health.Waiting, env.Telemetry
	conn, err := bus.Connect(ctx, cfg.Bus, env.Log)
	if err != nil {
		return err
	}
	defer conn.Close()
	env.Health.Check("bus", conn.Ready)
	a := newAuditor(cfg, env.Log, conn, cluster, key)
	env.Health.Check("cluster", a.readers.ready)
	return a.run(ctx)
}

func newAuditor(cfg Config, log *slog.Logger, conn *bus.Conn, cluster *cluster, key seal.DigestKey) *Auditor {
	a := &Auditor{
		cfg: cfg, log: log, conn: conn, cluster: cluster, cache: newCache(), digestKey: key,
		fleet:   &fleet{cluster: cfg.Cluster},
		bundles: &bundles{kept: map[string]keptBundle{}},
		apps:    map[string]*application{}, timers: map[string]*time.Timer{},
	}
	a.readers = &readers{
		cluster: cluster, sink: a, every: cfg.FullCompare, timing: defaultTiming, secrets: !key.Zero(), log: log,
		wants: map[string]map[want]bool{}, running: map[scope]*runningReader{}, news: map[string]bool{},
	}
	a.consumer = conn.Consumer("auditor-"+cfg.Cluster, a.handle, bus.Options{})
	a.backlog = &backlog{consumer: a.consumer, waits: map[string]*work{}, look: func(ctx context.Context, name string, w work) ([]events.Draft, error) {
		return a.pass(ctx, a.application(name), w, bus.Now(ctx))
	}}
	return a
}

// run starts with the level: what the log tells of each application is read
// before the cluster is, so that the first lists find out what to compare
// with.
func (a *Auditor) run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer a.stop()
	defer a.measure()()
	begun := make(chan struct{})
	a.level("start", func() { close(begun) })
	group.Go(func() {
		select {
		case <-begun:
			a.readers.run(ctx)
		case <-ctx.Done():
		}
	})
	group.Go(func() {
		for sleep(ctx, jitter(a.cfg.Resync)) {
			a.level("timer", nil)
		}
	})
	return a.consumer.Run(ctx)
}

// level reads what the log tells of the whole cluster again. done, if there is
// one, is called once every application has been looked at.
func (a *Auditor) level(why string, done func()) {
	a.mu.Lock()
	a.count++
	id := fmt.Sprintf("%s/%s/%d/%d", why, a.cfg.Cluster, time.Now().UnixNano(), a.count)
	a.mu.Unlock()
	var once sync.Once
	a.consumer.Observe("", events.Cause{ID: id}, func(ctx context.Context) ([]events.Draft, error) {
		if err := a.fleet.load(ctx, a.conn); err != nil {
			return nil, err
		}
		applications, err := a.known(ctx)
		if err != nil {
			return nil, err
		}
		var all sync.WaitGroup
		for _, application := range applications {
			all.Add(1)
			var each sync.Once
			a.backlog.queue(application, events.Cause{ID: id + "/" + application}, work{load: true, done: func() { each.Do(all.Done) }})
		}
		if done != nil {
			once.Do(func() { go func() { all.Wait(); done() }() })
		}
		return nil, nil
	})
}

// stop ends the timers.
func (a *Auditor) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	for _, timer := range a.timers {
		timer.Stop()
	}
}
