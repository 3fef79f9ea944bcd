// SPDX-License-Identifier: Apache-2.0

package natsserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/provision"
)

const (
	checkEvery     = 500 * time.Millisecond // the store's folders, and where the log is
	canaryEvery    = 2 * time.Second
	canaryTimeout  = 5 * time.Second
	provisionEvery = 5 * time.Second
	sweepEvery     = time.Hour
	sweepTimeout   = 5 * time.Minute
	provisionWait  = 30 * time.Second
	restartDelay   = time.Second // after a restart that did not help
)

// canarySubject is written to and read from, to see that the store works.
const canarySubject = "plumbline.attempts.provisioner.canary"

// errLost says that the store is gone, errStuck that it doesn't answer,
// errStarting that what it holds isn't known yet.
var (
	errLost     = errors.New("the store of the bus is lost")
	errStuck    = errors.New("the store of the bus does not answer")
	errStarting = errors.New("the bus is being provisioned")
)

// Serve runs a server, keeps it provisioned and watches over its store until
// ctx ends. ready is called once, when everything is there.
//
// A store that is lost underneath the server, refuses a write since its disk is
// full, or doesn't answer, is noticed; as soon as there is space the server is
// started again on the same address and on what is left, and
// provisioned: where the log was lost it has a new epoch then. Nothing of the
// store is ever deleted here.
func Serve(ctx context.Context, o Options, ready func(*Server)) error {
	s, err := Start(ctx, o)
	if err != nil {
		return err
	}
	for {
		s.options.Waiting(errStarting)
		err := s.keep(ctx, func(s *Server) { s.options.Waiting(nil); ready(s) })
		ready = func(*Server) {}
		stopped := s.Stop()
		if ctx.Err() != nil {
			return stopped
		}
		s.options.Waiting(err)
		if !errors.Is(err, errLost) && !errors.Is(err, errStuck) && !errors.Is(err, errRefused) {
			return errors.Join(err, stopped)
		}
		if !errors.Is(err, errLost) {
			s.awaitSpace(ctx)
		}
		s.options.Log.Error("starting the bus again", "error", err)
		if stopped != nil {
			s.options.Log.Warn("the old server is left behind", "error", stopped)
		}
		if !pause(ctx, restartDelay) || s.restart(ctx) != nil {
			return nil
		}
	}
}

// restart starts the server again on what is left of its store. It tries for as
// long as it takes.
func (s *Server) restart(ctx context.Context) error {
	for {
		err := s.start(ctx)
		if err == nil {
			return nil
		}
		s.options.Log.Error("the bus does not start: trying again", "error", err)
		if !pause(ctx, restartDelay) {
			return ctx.Err()
		}
	}
}

// keep provisions and watches over a running server until something is wrong
// with its store or ctx ends.
func (s *Server) keep(ctx context.Context, ready func(*Server)) error {
	k := &keeper{Server: s, log: s.options.Log, mark: filepath.Join(s.options.Dir, "seen.json")}
	dialing, cancel := context.WithTimeout(ctx, provisionWait)
	defer cancel()
	js, done, err := provision.Connect(dialing, s.URL(), s.Creds(provision.User), s.options.Log)
	if err != nil {
		return fmt.Errorf("%w: %w", errStuck, err)
	}
	defer done()
	k.js = js
	k.seen, err = provision.ReadMark(k.mark)
	if k.doubt = errors.Is(err, provision.ErrMark); err != nil && !k.doubt {
		return fmt.Errorf("the place in the log that was seen: %w", err)
	}
	if k.doubt {
		k.log.Error("nobody knows whether the log is the one that it was: it gets a new epoch, and everything is compared with it again", "error", err)
	}
	if err := k.provision(ctx); err != nil {
		return fmt.Errorf("%w: %w", errStuck, err)
	}
	if k.watch, err = watchStore(s.Store()); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	ready(s)
	return k.run(ctx)
}

// keeper watches over one run of a server.
type keeper struct {
	*Server
	log     *slog.Logger
	js      jetstream.JetStream
	mark    string // file
	seen    provision.Mark
	doubt   bool   // there was a mark, and it can't be read
	heard   uint64 // the last place at which a service said what it has seen
	watch   *storeWatch
	sweeper provision.Sweeper
}

func (k *keeper) run(ctx context.Context) error {
	check, canary := time.NewTicker(checkEvery), time.NewTicker(canaryEvery)
	again, sweep := time.NewTicker(provisionEvery), time.NewTicker(sweepEvery)
	defer check.Stop()
	defer canary.Stop()
	defer again.Stop()
	defer sweep.Stop()
	var sweeping sync.WaitGroup
	defer sweeping.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	canaries := make(chan error, 1)
	for singing := false; ; {
		select {
		case <-ctx.Done():
			return k.see(context.WithoutCancel(ctx))
		case <-check.C:
			if err := k.see(ctx); err != nil && ctx.Err() == nil {
				k.log.Warn("the place in the log is not kept", "error", err)
			}
			if err := k.hear(ctx); err != nil && ctx.Err() == nil {
				k.log.Warn("what services have seen of the log is not compared with it: trying again", "error", err)
			}
			if err := k.watch.lost(); err != nil {
				return fmt.Errorf("%w: %w", errLost, err)
			}
			if err := k.refused(ctx); errors.Is(err, errRefused) {
				return err
			} else if err != nil && ctx.Err() == nil {
				k.log.Warn("whether the store takes what is written is not known", "error", err)
			}
		case <-canary.C:
			if !singing {
				singing = true
				go func() { canaries <- k.sing(ctx) }()
			}
		case err := <-canaries:
			singing = false
			if err != nil && ctx.Err() == nil {
				return k.blame(err)
			}
		case <-again.C:
			if err := k.provision(ctx); err != nil && ctx.Err() == nil {
				k.log.Warn("not provisioned: trying again", "error", err)
			}
		case <-sweep.C:
			sweeping.Go(func() { k.sweep(ctx) })
		}
	}
}

// blame tells a store that is lost from one that is there and doesn't answer.
func (k *keeper) blame(err error) error {
	if lost := k.watch.lost(); lost != nil {
		return fmt.Errorf("%w: %w", errLost, lost)
	}
	return fmt.Errorf("%w: %w", errStuck, err)
}

// sing writes to the store and reads back what it wrote.
func (k *keeper) sing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, canaryTimeout)
	defer cancel()
	song := time.Now().Format(time.RFC3339Nano)
	if _, err := k.js.PublishMsg(ctx, &nats.Msg{Subject: canarySubject, Data: []byte(song)}); err != nil {
		return fmt.Errorf("write to the store: %w", err)
	}
	stream, err := k.js.Stream(ctx, natsconfig.StreamAttempts)
	if err != nil {
		return fmt.Errorf("ask the store: %w", err)
	}
	m, err := stream.GetLastMsgForSubject(ctx, canarySubject)
	if err != nil {
		return fmt.Errorf("read from the store: %w", err)
	}
	if string(m.Data) != song {
		return errors.New("the store does not return what was written to it")
	}
	return nil
}

func (k *keeper) provision(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, provisionWait)
	defer cancel()
	report, err := provision.Apply(ctx, k.js, provision.Options{Clusters: k.options.Clusters, Seen: k.seen, Doubt: k.doubt})
	if err != nil {
		return err
	}
	if report.Restored && !k.doubt {
		k.log.Warn("the log was put back to an earlier state: it has a new epoch", "epoch", report.Log.Epoch, "last", report.Log.Last)
	}
	if len(report.Created)+len(report.Changed) > 0 {
		k.log.Info("provisioned", "created", report.Created, "changed", report.Changed, "epoch", report.Log.Epoch)
	}
	if len(report.Renewed) > 0 {
		k.log.Warn("consumers were made anew, which can't be changed or had a position in another log: their services begin with the last event on each subject", "consumers", report.Renewed)
	}
	if err := k.keepMark(report.Log); err != nil {
		return err
	}
	k.doubt = false
	return nil
}

// see keeps the furthest place of the log that was seen.
func (k *keeper) see(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, canaryTimeout)
	defer cancel()
	here, err := provision.Here(ctx, k.js)
	if err != nil {
		return err
	}
	if here.Last > 0 && here.Epoch == k.seen.Epoch {
		k.watch.fill()
	}
	if here.Epoch == "" || here.Epoch == k.seen.Epoch && here.Last <= k.seen.Last {
		return nil
	}
	return k.keepMark(here)
}

// hear compares the log with what services have said of it since the last time.
func (k *keeper) hear(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, canaryTimeout)
	defer cancel()
	said, err := provision.Testimony(asking, k.js)
	if err != nil || said == k.heard {
		return err
	}
	if err := k.provision(ctx); err != nil {
		return err
	}
	k.heard = said
	return nil
}

func (k *keeper) keepMark(m provision.Mark) error {
	if m == k.seen {
		return nil
	}
	if err := provision.WriteMark(k.mark, m); err != nil {
		return err
	}
	k.seen = m
	return nil
}

func (k *keeper) sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	log, err := bus.Connect(ctx, bus.Config{URL: k.URL(), Creds: k.Creds(provision.User), User: provision.User}, k.log)
	if err != nil {
		return // said by the connection
	}
	defer log.Close()
	swept, err := k.sweeper.Sweep(ctx, k.js, log)
	if err != nil && ctx.Err() == nil {
		k.log.Warn("blobs are not swept: trying again later", "error", err)
		return
	}
	if len(swept.Deleted) > 0 {
		k.log.Info("swept", "blobs", swept.Blobs, "deleted", len(swept.Deleted))
	}
}

// pause waits for d and reports whether ctx still holds.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
