// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/incident"
	"github.com/plumbline-dev/plumbline/internal/process"
)

// queue is where everything waits that speaks to Slack: one at a time.
const queue = ".slack"

// notifier is a running service.
type notifier struct {
	cfg      Config
	timing   timing
	log      *slog.Logger
	conn     *bus.Conn
	consumer *bus.Consumer
	slack    *client
	fleet    *fleet
	meters   meters

	mu      sync.Mutex
	known   map[incident.Scope]bool // those of which there was ever an incident
	levels  uint64                  // counted for their causes
	trouble error                   // what keeps alerts from Slack; nil: nothing

	// What follows belongs to the queue.
	gate   time.Time // before it nothing is sent
	epoch  string    // of the log that memory's places are in
	memory map[incident.Scope]memory
	// refused are what Slack refuses for good, by what they say; closed is why
	// it refuses all. Both are forgotten when the level is read.
	refused map[incident.Scope]string
	closed  *refusal
	// attempts are those that got no answer, and silent the scopes that were given
	// up so since Slack took a message.
	attempts map[incident.Scope]attempts
	silent   map[incident.Scope]bool
	briefs   map[incident.Scope]bool // wait for the digest
	recent   []time.Time             // when single ones were told, within the window
	digest   *time.Timer
}

// memory is the last alert that Slack took. It counts until the log has it.
type memory struct {
	alert events.AlertDelivered
	last  uint64 // the place of the alert before it in the log
}

// Run tells people until ctx ends. It returns an error only where it can't
// begin.
func Run(ctx context.Context, env process.Env, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	return run(ctx, env, cfg, defaultTiming)
}

func run(ctx context.Context, env process.Env, cfg Config, times timing) error {
	slack := newClient(cfg, times.request)
	if _, err := slack.token(); err != nil {
		return fmt.Errorf("--slack-token-file: %w", err)
	}
	cfg.Bus.Version, cfg.Bus.Waiting, cfg.Bus.Telemetry = env.Version, env.Health.Waiting, env.Telemetry
	conn, err := bus.Connect(ctx, cfg.Bus, env.Log)
	if err != nil {
		return err
	}
	defer conn.Close()
	n := newNotifier(cfg, times, env.Log, conn, slack)
	env.Health.Check("bus", conn.Ready)
	env.Health.Check("slack", n.ready)
	return n.run(ctx)
}

func newNotifier(cfg Config, times timing, log *slog.Logger, conn *bus.Conn, slack *client) *notifier {
	n := &notifier{
		cfg: cfg, timing: times, log: log, conn: conn, slack: slack, fleet: &fleet{conn: conn, last: map[string]fleetList{}},
		known: map[incident.Scope]bool{}, memory: map[incident.Scope]memory{},
		refused: map[incident.Scope]string{}, briefs: map[incident.Scope]bool{},
		attempts: map[incident.Scope]attempts{}, silent: map[incident.Scope]bool{},
		// Whoever ran before may have sent something a moment ago.
		gate: time.Now().Add(times.pace),
	}
	n.meters = newMeters(cfg.Bus.Telemetry)
	n.consumer = conn.Consumer("notifier", n.handle, bus.Options{Skip: n.skips})
	return n
}

// run begins with the level and reads it again from time to time, and when the
// token has changed.
func (n *notifier) run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.level("start")
	group.Go(func() {
		resync, token := time.NewTicker(n.timing.resync), time.NewTicker(n.timing.token)
		defer resync.Stop()
		defer token.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-resync.C:
				n.level("timer")
			case <-token.C:
				if n.slack.changed() {
					n.level("token")
				}
			}
		}
	})
	err := n.consumer.Run(ctx)
	if n.digest != nil {
		n.digest.Stop()
	}
	return err
}

// ready says what keeps alerts from Slack.
func (n *notifier) ready() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.trouble
}

func (n *notifier) setTrouble(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trouble = err
}
