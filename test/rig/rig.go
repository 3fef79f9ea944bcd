// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// Services are the services in the order of a commit's life.
var Services = []string{"watcher", "renderer", "applier", "auditor"}

// Notifier is the service that runs where [Options.Slack] is given.
const Notifier = "notifier"

// Options are what a rig is made of. Dir and Bin must be given.
type Options struct {
	Dir string // for everything that the rig keeps; made where missing
	Bin string // folder with the binaries of make build
	// Cluster is used where given and left running; else the rig boots one of
	// its own.
	Cluster *kubelab.Cluster
	// Audit records every API request of a cluster of the rig's own.
	Audit bool
	// Detach lets a cluster of the rig's own outlive this process.
	Detach bool
	// Progress is told of a first build of the control plane.
	Progress io.Writer
	// FleetInterval is how often the fleet repository is listed; default 30 s:
	// the webhook is what is quick.
	FleetInterval time.Duration
	// Resync is how often applier and auditor re-derive their level; default:
	// their own.
	Resync time.Duration
	// Env is added to the environment of every service, as OTEL_….
	Env []string
	// Args are added to the command line of a service, by its name.
	Args map[string][]string
	// Slack is where a Web API of Slack's begins, which takes SlackToken; with
	// it the notifier runs, too, and tells the channel ops.
	Slack, SlackToken string
	// Links puts proxies between the services and what they reach; see [Links].
	Links bool
	// Seed decides what the proxies do by chance.
	Seed uint64
	// StoreSize gives the bus's store a disk of so many bytes of its own, which
	// takes the right to mount; 0: none.
	StoreSize int64
}

// Rig is a running Plumbline. One goroutine at a time may start and stop its
// parts.
type Rig struct {
	Dir     string
	Cluster *kubelab.Cluster
	Kube    *Kube
	Git     *gitserver.Server
	Fleet   *gitserver.Repo
	Bus     *Subscriber // nil until [Rig.Up]
	URL     string      // of the NATS server
	Links   *Links      // nil without [Options.Links]

	options    Options
	ports      ports
	processes  map[string]*Process
	replay     *server.Server // stands in for nats after [Rig.DeliverAgain]
	disk       *disk          // of the store; nil: none of its own
	ownCluster bool
}

// New boots the control plane and the Git server; [Rig.Up] starts Plumbline.
func New(ctx context.Context, options Options) (*Rig, error) {
	if options.FleetInterval == 0 {
		options.FleetInterval = 30 * time.Second
	}
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	if options.Bin, err = filepath.Abs(options.Bin); err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	r := &Rig{Dir: dir, options: options, processes: map[string]*Process{}, Cluster: options.Cluster}
	if err := r.boot(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Rig) boot(ctx context.Context) error {
	for _, sub := range []string{"", "log", "data", "mirrors", "webhook-secrets"} {
		if err := os.MkdirAll(filepath.Join(r.Dir, sub), 0o700); err != nil {
			return fmt.Errorf("rig: %w", err)
		}
	}
	var err error
	if r.Cluster == nil {
		r.ownCluster = true
		r.Cluster, err = kubelab.Start(ctx, kubelab.Options{
			Dir: filepath.Join(r.Dir, "cluster"), Audit: r.options.Audit,
			Detach: r.options.Detach, Progress: r.options.Progress,
		})
		if err != nil {
			return err
		}
	}
	if r.Kube, err = NewKube(r.Cluster.Kubeconfig()); err != nil {
		return err
	}
	if r.Git, err = gitserver.Start(filepath.Join(r.Dir, "git"), gitserver.Options{}); err != nil {
		return err
	}
	if r.ports, err = freePorts(); err != nil {
		return err
	}
	if err := r.link(); err != nil {
		return err
	}
	if r.Fleet, err = r.Repo("fleet"); err != nil {
		return err
	}
	r.URL = fmt.Sprintf("nats://127.0.0.1:%d", r.ports.nats)
	if err := r.prepare(ctx); err != nil {
		return err
	}
	return r.mountStore()
}

// Up starts NATS, subscribes, and starts every service but those left out.
func (r *Rig) Up(ctx context.Context, without ...string) error {
	if err := r.StartNATS(ctx); err != nil {
		return err
	}
	subscriber, err := Subscribe(ctx, r.URL, r.Creds("reader"))
	if err != nil {
		return err
	}
	r.Bus = subscriber
	for _, service := range r.services() {
		if slices.Contains(without, service) {
			continue
		}
		if err := r.Start(service); err != nil {
			return err
		}
	}
	return nil
}

// services are those that this rig runs.
func (r *Rig) services() []string {
	if r.options.Slack == "" {
		return Services
	}
	return append(slices.Clone(Services), Notifier)
}

// Start starts a service.
func (r *Rig) Start(service string) error { return r.processes[service].Start() }

// Kill ends a service as a crash would.
func (r *Rig) Kill(service string) error { return r.processes[service].Kill() }

// Stop ends a service in order.
func (r *Rig) Stop(service string) error { return r.processes[service].Stop() }

// Process is the process of a service, or "nats".
func (r *Rig) Process(name string) *Process { return r.processes[name] }

// Creds is the file with a NATS user's seed.
func (r *Rig) Creds(user string) string {
	return filepath.Join(r.data(), "nats", "keys", user+".nk")
}

func (r *Rig) data() string { return filepath.Join(r.Dir, "data") }

// Close stops what the rig started, last first.
func (r *Rig) Close() error {
	var errs []error
	for _, service := range slices.Backward(r.services()) {
		if p := r.processes[service]; p != nil {
			errs = append(errs, p.Stop())
		}
	}
	if r.Bus != nil {
		r.Bus.Close()
	}
	if p := r.processes[together]; p != nil {
		errs = append(errs, p.Stop())
	}
	if r.replay != nil {
		r.replay.Shutdown()
		r.replay.WaitForShutdown()
	}
	if p := r.processes["nats"]; p != nil {
		errs = append(errs, p.Stop())
	}
	if r.Links != nil {
		errs = append(errs, r.Links.close())
	}
	errs = append(errs, r.unmountStore())
	if r.Git != nil {
		errs = append(errs, r.Git.Close())
	}
	if r.ownCluster && r.Cluster != nil {
		errs = append(errs, r.Cluster.Stop())
	}
	return errors.Join(errs...)
}
