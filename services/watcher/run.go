// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/process"
)

const (
	// epochInterval is the time between two questions after the log's epoch.
	epochInterval = 2 * time.Second
	// resyncInterval is the time after which nothing that is remembered of
	// the bus is believed any more.
	resyncInterval = 10 * time.Minute
)

// Command registers the watcher's flags and returns it as a process.
func Command(flags *pflag.FlagSet) process.RunFunc {
	var cfg Config
	cfg.Flags(flags)
	return func(ctx context.Context, env process.Env) error { return Run(ctx, env, cfg) }
}

// Run watches until ctx ends, and returns when everything has stopped.
func Run(ctx context.Context, env process.Env, cfg Config) error {
	s, err := cfg.check()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.Mirrors, 0o700); err != nil {
		return fmt.Errorf("--mirrors: %w", err)
	}
	unlock, err := lock(s.Mirrors)
	if err != nil {
		return fmt.Errorf("--mirrors %s: %w", s.Mirrors, err)
	}
	defer unlock()
	if err := cleanMemory(s.Mirrors); err != nil {
		return fmt.Errorf("--mirrors: %w", err)
	}
	s.Bus.Service, s.Bus.Version, s.Bus.Waiting, s.Bus.Telemetry = "watcher", env.Version, env.Health.Waiting, env.Telemetry
	listener, err := listen(s)
	if err != nil {
		return err
	}
	conn, err := bus.Connect(ctx, s.Bus, env.Log)
	if err != nil {
		return errors.Join(fmt.Errorf("connect to the bus: %w", err), closeListener(listener))
	}
	defer conn.Close()
	defer conn.MeasureLog()()
	h := newHub(s, conn, conn.Blobs(), env.Log)
	env.Health.Check("bus", conn.Ready)
	env.Health.Check("fleet", h.ready)
	consumer := conn.Consumer("watcher", h.handle, bus.Options{})
	return h.run(ctx, consumer.Run, listener)
}

// run is the watcher on a bus.
func (h *hub) run(ctx context.Context, consume func(context.Context) error, listener net.Listener) (err error) {
	if h.chronicle, err = openChronicle(h.Mirrors); err != nil {
		return errors.Join(fmt.Errorf("--mirrors: %w", err), closeListener(listener))
	}
	defer func() { err = errors.Join(err, h.chronicle.close()) }()
	deaf, err := h.ledger.Hear(h.outcomeHeard, filtersOf(outcomeTypes)...)
	if err != nil {
		return errors.Join(fmt.Errorf("listen to the renderer: %w", err), closeListener(listener))
	}
	defer deaf()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return h.serve(ctx, listener) })
	group.Go(func() error { h.chronicle.run(ctx, h.logger); return nil })
	group.Go(func() error {
		if err := h.begin(ctx); err != nil {
			return err
		}
		h.start(ctx)
		group.Go(func() error { return consume(ctx) })
		group.Go(func() error { h.follow(ctx); return nil })
		h.work.Wait()
		return nil
	})
	err = group.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// begin waits until the log tells which it is.
func (h *hub) begin(ctx context.Context) error {
	if m, err := loadMemory(h.Mirrors, h.blankMemory()); err != nil {
		return err
	} else if m != nil {
		h.log.publishedTo(m.Epoch)
	}
	l, err := h.ledger.Log(ctx)
	if err != nil {
		return fmt.Errorf("state of the log: %w", err)
	}
	h.log.set(l)
	return nil
}

// follow notices a new log, and gives up from time to time what is remembered
// of it.
func (h *hub) follow(ctx context.Context) {
	poll, resync := time.NewTicker(epochInterval), time.NewTicker(resyncInterval)
	defer poll.Stop()
	defer resync.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-resync.C:
			h.log.forget()
			h.look("", byPoll)
		case <-poll.C:
			h.checkLog(ctx)
		}
	}
}

// checkLog asks which log it is, and has everything compared again where it
// is another one.
func (h *hub) checkLog(ctx context.Context) {
	h.asking.Lock() // so that answers are taken in the order of the questions
	defer h.asking.Unlock()
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	l, err := h.ledger.Log(ctx)
	if err != nil {
		return // the bus is away; its connection says so
	}
	before := h.log.epoch()
	if !h.log.set(l) {
		return
	}
	h.logger.Warn("the log is another one, or was put back; everything is compared with it again", "before", before, "epoch", l.Epoch)
	h.look("", byPoll)
}

// handle takes sync.requested: look now.
func (h *hub) handle(_ context.Context, in events.Event) ([]events.Draft, error) {
	if _, ok := in.Data.(*events.SyncRequested); ok {
		h.sync(in.Application)
	}
	return nil, nil
}

func (h *hub) ready() error {
	if h.inForce.Load() == nil {
		return errors.New("the fleet was not read yet")
	}
	return nil
}

func listen(s settings) (net.Listener, error) {
	if s.WebhookListen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", s.WebhookListen)
	if err != nil {
		return nil, fmt.Errorf("--webhook-listen: %w", err)
	}
	return l, nil
}

func closeListener(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// serve serves webhooks until ctx ends.
func (h *hub) serve(ctx context.Context, l net.Listener) error {
	if l == nil {
		return nil
	}
	server := &http.Server{
		Handler: &webhook{
			directory: h.WebhookSecrets, log: h.logger,
			look:  func(repository string) bool { return h.look(repository, byWebhook) },
			heard: h.heard, tracer: h.Bus.Telemetry.Tracer(),
		},
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 15 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	h.logger.Info("webhooks", "address", l.Addr().String())
	if h.WebhookReady != nil {
		h.WebhookReady(l.Addr().String())
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // a webhook lost is a poll's work
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("webhooks: %w", err)
	}
	return nil
}
