// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/pflag"
	"go.opentelemetry.io/otel/metric"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/failpoint"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

const (
	// resyncEvery is how often the level is read again.
	resyncEvery = 10 * time.Minute
	// sourceBudget and historyBudget bound what is kept between revisions:
	// bytes of decoded trees, recorded paths.
	sourceBudget  = 256 << 20
	historyBudget = 1_000_000
)

// renderer is a running service.
type renderer struct {
	conn     *bus.Conn
	consumer *bus.Consumer
	key      *seal.SourceKey
	version  string
	pool     *pool
	sources  *sources
	history  *history
	notes    *notes
	lookups  metric.Int64Counter // in the render cache
}

// Command registers the renderer's flags and returns what runs it.
func Command(flags *pflag.FlagSet) process.RunFunc {
	var cfg Config
	cfg.Flags(flags)
	return func(ctx context.Context, env process.Env) error { return Run(ctx, env, cfg) }
}

// Run renders until ctx ends and returns when all work has stopped. The
// program that it runs in has called [ServeChild] before anything else.
func Run(ctx context.Context, env process.Env, cfg Config) error {
	s, err := cfg.check()
	if err != nil {
		return err
	}
	s.Bus.Service, s.Bus.User, s.Bus.Version = "renderer", "renderer", env.Version
	s.Bus.Waiting, s.Bus.Telemetry = env.Health.Waiting, env.Telemetry
	conn, err := bus.Connect(ctx, s.Bus, env.Log)
	if err != nil {
		return err
	}
	defer conn.Close()
	env.Health.Check("bus", conn.Ready)
	r := newRenderer(conn, s, env)
	defer r.pool.close()
	return r.run(ctx)
}

// beside is how many more than render wait meanwhile: for blobs, for the bus, or
// for the right to a long render, which must not keep others from a short one.
const beside = 6

func newRenderer(conn *bus.Conn, s settings, env process.Env) *renderer {
	r := &renderer{
		conn: conn, key: s.key, version: env.Version,
		pool:    newPool(s.Workers, s.limits, env.Log),
		sources: newSources(sourceBudget),
		history: newHistory(historyBudget),
		notes:   newNotes(),
		lookups: env.Telemetry.Counter("plumbline.render.cache"),
	}
	r.consumer = conn.Consumer("renderer", r.handle, bus.Options{Concurrency: s.Workers + beside, Failed: r.failed})
	return r
}

func (r *renderer) run(ctx context.Context) error {
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(done)
		tick := time.NewTicker(resyncEvery)
		defer tick.Stop()
		for {
			r.resync("resync", typeCommit.Filter("*"))
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	err := r.consumer.Run(ctx)
	cancel()
	<-done
	return err
}

// handle is the handler of every event that the renderer consumes.
func (r *renderer) handle(ctx context.Context, in events.Event) ([]events.Draft, error) {
	switch in.Data.(type) {
	case *events.CommitObserved:
		if err := failpoint.Hit(failpoint.RendererOnReceipt); err != nil {
			return nil, err
		}
		return r.revise(ctx, in, false)
	case *events.FleetObserved:
		r.resync(in.ID, typeCommit.Filter(in.Cluster))
	case *events.SyncRequested:
		filter := typeCommit.Filter("*")
		if in.Application != "" {
			filter = typeCommit.Subject(events.Address{Cluster: in.Cluster, Application: in.Application})
			if in.Cluster == "" {
				filter = events.Root + ".commit.observed.*." + events.EncodeToken(in.Application)
			}
		}
		r.resync(in.ID, filter)
	}
	return nil, nil
}

// failed is the outcome of a revision that was counted out.
func (r *renderer) failed(in events.Event, reason events.Reason, message string) []events.Draft {
	commit, ok := in.Data.(*events.CommitObserved)
	if !ok {
		return nil
	}
	return []events.Draft{{Address: in.Address, Variant: string(reason), Data: &events.RenderFailed{
		Revision: commit.Revision, Declaration: commit.Declaration, Reason: reason, Message: printable(message, maxMessage),
	}}}
}

// resync looks at the level: each application whose last revision has no
// outcome yet, or a failure for one, or whose bundle was lost, is worked on in
// its own queue.
func (r *renderer) resync(cause, filter string) {
	r.consumer.Observe(".resync "+filter, events.Cause{ID: cause + " " + filter}, func(ctx context.Context) ([]events.Draft, error) {
		subjects, err := r.conn.Subjects(ctx, filter)
		if err != nil {
			return nil, err
		}
		for _, subject := range subjects {
			if err := r.review(ctx, subject); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

// review queues the last revision on a subject, if there is anything to do
// about it.
func (r *renderer) review(ctx context.Context, subject string) error {
	in, err := r.conn.Last(ctx, subject)
	if errors.Is(err, bus.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	v, err := r.look(ctx, in, true)
	if err != nil {
		return err
	}
	if begin(events.Order{Epoch: in.Epoch, Sequence: in.Sequence}, v.newest, v.previous, true) == stepNone {
		return nil
	}
	r.consumer.Observe(bus.ApplicationKey(in), events.CauseOf(in), func(ctx context.Context) ([]events.Draft, error) {
		return r.revise(ctx, in, true)
	})
	return nil
}
