// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/fleet"
)

const (
	defaultInterval = 30 * time.Second
	// heavyWork is how many sources are packed, in memory, at once.
	heavyWork = 4
)

// hub is what the readers share: the bus, the fleet in force, and the list of
// readers.
type hub struct {
	settings
	logger *slog.Logger
	ledger ledger
	blobs  *blob.Store
	log    logState

	chronicle *chronicle // opened by run
	outcomes  outcomes
	revivals  revivals

	heavy *semaphore.Weighted

	// inForce is written by the fleet reader alone.
	inForce atomic.Pointer[inForce]
	meters  meters
	started time.Time
	hooks   sync.Map // repository → span of the webhook that asked for a look
	asking  sync.Mutex

	// placing is held for reading while a revision is published by an assignment
	// that is in force; see [hub.settle].
	placing sync.RWMutex

	mu          sync.Mutex
	fleetReader *reader
	readers     map[string]*reader // by repository; the fleet reader is not in it
	listed      time.Time          // when the fleet in force was listed last
	looked      chan struct{}      // closed when the fleet reader has looked
	work        sync.WaitGroup
}

// inForce is the fleet as it is in force.
type inForce struct {
	memory memory
	commit string
	// remembered says that it was not read in this process.
	remembered bool
}

func newHub(s settings, l ledger, blobs *blob.Store, log *slog.Logger) *hub {
	return &hub{
		settings: s, logger: log, ledger: l, blobs: blobs, heavy: semaphore.NewWeighted(heavyWork),
		outcomes: outcomes{bySaid: map[string]rendering{}}, revivals: revivals{bySaid: map[string]revival{}},
		readers: map[string]*reader{}, looked: make(chan struct{}),
		meters: newMeters(s.Bus.Telemetry), started: time.Now(),
	}
}

// settle waits until what is being published by assignments from before adopt is
// published, or isn't. A revision of an application that is no longer declared
// comes before the list that says so, and never after: it would be taken for
// one of an application that is declared again.
func (h *hub) settle() {
	h.placing.Lock()
	h.placing.Unlock() //nolint:staticcheck // nothing is to be done inside
}

func (h *hub) fleetRef() string { return "refs/heads/" + h.FleetBranch }

func (h *hub) blankMemory() memory {
	return memory{URL: h.fleet.String(), Path: h.FleetPath, Branch: h.FleetBranch}
}

// enter notes which applications came into the fleet, at an end of the log.
// What is in a list that was said is there already.
func (m *memory) enter(before fleet.State, at events.Order, said map[string]bool) {
	was := map[string]bool{}
	for _, e := range before.Applications {
		was[e.Name] = e.Cluster == "" || !entersElsewhere(e, m.State)
	}
	for _, e := range m.State.Applications {
		if e.Declaration == nil || was[e.Name] || said[e.Cluster] {
			continue
		}
		if m.Entered == nil {
			m.Entered = map[string]events.Order{}
		}
		m.Entered[e.Name] = at
	}
}

// entersElsewhere says that an application moved to another cluster.
func entersElsewhere(before fleet.Entry, now fleet.State) bool {
	return slices.ContainsFunc(now.Applications, func(e fleet.Entry) bool {
		return e.Name == before.Name && e.Cluster != before.Cluster
	})
}

// start starts the fleet reader.
func (h *hub) start(ctx context.Context) {
	r := h.newReader(ctx, fleetName, h.fleet, h.FleetInterval)
	r.isFleet = true
	h.mu.Lock()
	h.fleetReader = r
	h.mu.Unlock()
	h.work.Go(func() { r.run(ctx) })
}

func (h *hub) newReader(ctx context.Context, name string, e endpoint, interval time.Duration) *reader {
	sum := sha256.Sum256([]byte(e.String()))
	r := &reader{
		hub: h, name: name, root: filepath.Join(h.Mirrors, fmt.Sprintf("%s-%x", events.EncodeToken(name), sum[:6])),
		remote: &remote{name: name, endpoint: e, directory: h.GitCredentials, maxPack: h.Limits.Pack},
		wake:   make(chan string, 1), done: make(chan struct{}), begun: map[string]string{},
	}
	r.interval.Store(int64(interval))
	r.assigned.Store(&[]assignment{})
	return r
}

// fleetSeen notes when the fleet in force was listed.
func (h *hub) fleetSeen(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listed = at
}

func (h *hub) fleetListedAfter(t time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listed.After(t)
}

// fleetLooked tells who waits that the fleet reader has looked.
func (h *hub) fleetLooked() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.looked)
	h.looked = make(chan struct{})
}

// readFleetAgain waits for one look at the fleet that begins from now on.
func (h *hub) readFleetAgain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, h.GitTimeout)
	defer cancel()
	for range 2 { // the first to end may have begun before
		h.mu.Lock()
		looked := h.looked
		h.mu.Unlock()
		h.fleetReader.look(byPoll)
		select {
		case <-looked:
		case <-ctx.Done():
			return
		}
	}
}

// look wakes the readers of a repository, or all of them. It is false where
// there is none of that name.
func (h *hub) look(repository, trigger string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fleetReader == nil {
		return false // not started yet
	}
	if repository == "" {
		for _, r := range h.readers {
			r.look(trigger)
		}
	}
	if r, ok := h.readers[repository]; ok {
		r.look(trigger)
		return true
	}
	if repository != "" && repository != fleetName && !h.sharesFleet(repository) {
		return false
	}
	h.fleetReader.look(trigger)
	return true
}

// sharesFleet says that a declared repository is the fleet's own.
func (h *hub) sharesFleet(repository string) bool {
	now := h.inForce.Load()
	return now != nil && slices.ContainsFunc(now.memory.State.Repositories, func(r fleet.Repository) bool { return r.Name == repository })
}

// sync looks at one application's repository and at the fleet, or at
// everything, and believes nothing that it remembers of the bus.
func (h *hub) sync(application string) {
	if application == "" {
		h.log.forget()
		h.look("", bySync)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fleetReader == nil {
		return // not started yet: everything is looked at then
	}
	for _, r := range append(slices.Collect(maps.Values(h.readers)), h.fleetReader) {
		mine := slices.ContainsFunc(*r.assigned.Load(), func(a assignment) bool { return a.declaration.Application == application })
		if mine || r.isFleet {
			r.stale.Store(true)
			r.look(bySync)
		}
	}
}
