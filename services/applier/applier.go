// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// applier converges one cluster. Its applications' state is each worked on in
// the application's own queue of the bus; what they share is guarded here.
type applier struct {
	cluster  string
	bus      lookups
	consumer *bus.Consumer
	log      *slog.Logger
	identity *seal.Identity
	grace    time.Duration // see decideHealth
	timeout  time.Duration // of one attempt to write one object
	patience time.Duration // see awaitPatience
	believed time.Duration // see fenceLife

	dynamic     dynamic.Interface
	metadata    metadata.Interface
	discovery   *discovery.DiscoveryClient
	scopes      *scopes
	observer    *observer
	inventories *inventories
	meter       *meter

	ctx   context.Context // of what runs beside the handlers
	dirty chan string     // applications whose health is to be looked at
	ids   atomic.Uint64   // of observations

	mu           sync.Mutex
	applications map[string]*application
	fleet        *fleetList        // nil: not known
	waiting      map[string]string // applications whose deletions wait, and for which one

	claimants claimants
	surveying sync.Mutex // see survey
}

// newApplier connects to a cluster.
func newApplier(ctx context.Context, cfg Config, conn *bus.Conn, rc *rest.Config, identity *seal.Identity, log *slog.Logger) (*applier, error) {
	a := &applier{
		cluster: cfg.Cluster, bus: lookups{conn}, log: log, identity: identity, grace: cfg.grace, timeout: cfg.timeout, patience: cfg.patience, believed: cfg.believed,
		ctx: ctx, meter: &meter{}, dirty: make(chan string, 1024), applications: map[string]*application{}, waiting: map[string]string{},
	}
	rc = rest.CopyConfig(rc)
	rc.QPS, rc.Burst = -1, 0 // the API server's priority and fairness governs
	rc.UserAgent = "plumbline-applier"
	rc.Wrap(a.meter.wrap)
	rc.Wrap(measured(cfg.Bus.Telemetry.Counter("plumbline.kubernetes.requests")))
	var err error
	if a.dynamic, err = dynamic.NewForConfig(rc); err != nil {
		return nil, fmt.Errorf("connect to cluster %s: %w", cfg.Cluster, err)
	}
	if a.metadata, err = metadata.NewForConfig(rc); err != nil {
		return nil, fmt.Errorf("connect to cluster %s: %w", cfg.Cluster, err)
	}
	if a.discovery, err = discovery.NewDiscoveryClientForConfig(rc); err != nil {
		return nil, fmt.Errorf("connect to cluster %s: %w", cfg.Cluster, err)
	}
	a.scopes = newScopes(a.discovery, a.meter)
	inventories, err := inventoryClient(rc)
	if err != nil {
		return nil, fmt.Errorf("connect to cluster %s: %w", cfg.Cluster, err)
	}
	a.inventories = newInventories(inventories, a.rewound)
	a.observer = &observer{
		metadata: a.metadata, dynamic: a.dynamic, log: log, told: a.told, rewound: a.rewound,
		root: ctx, reach: cfg.Namespaces, kinds: map[watchScope]*kindWatch{},
	}
	return a, nil
}

// application returns the state of an application, made on first use.
func (a *applier) application(name string) *application {
	a.mu.Lock()
	defer a.mu.Unlock()
	app, ok := a.applications[name]
	if !ok {
		app = &application{name: name, fights: map[string]*fight{}, forgotten: map[string]bool{}}
		a.applications[name] = app
	}
	return app
}

// told is called by the watches for every change of an object.
func (a *applier) told(application, _ string) {
	if application == "" {
		return
	}
	select {
	case a.dirty <- application:
	case <-a.ctx.Done():
	}
}

// observation is a cause for what no message caused: about is the event whose
// trace and revision it goes on with.
func (a *applier) observation(kind, application string, about events.Event) events.Cause {
	cause := events.CauseOf(about)
	cause.ID = fmt.Sprintf("applier/%s/%s/%s/%d/%d", a.cluster, application, kind, time.Now().UnixNano(), a.ids.Add(1))
	return cause
}

// reach is the namespaces that the applier is held to.
func (a *applier) reach() reach { return a.observer.reach }

// address is where an application's events go.
func (a *applier) address(application string) events.Address {
	return events.Address{Cluster: a.cluster, Application: application}
}
