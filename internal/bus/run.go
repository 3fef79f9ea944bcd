// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/telemetry"
)

const (
	// grace is how long publishing and acknowledging may go on after the
	// consumer is told to stop.
	grace = 5 * time.Second

	outageFirst = 500 * time.Millisecond
	outageMost  = 15 * time.Second
)

// schedule is a running consumer. Everything in it belongs to the goroutine of
// Run, except the channels.
type schedule struct {
	*Consumer
	worker   *worker
	source   jetstream.Consumer
	queues   *queues
	working  int
	yielded  []*yielding // in the order in which they did
	yieldAt  time.Time   // when the last one did
	outage   *outage     // nil: everything is there
	arrivals chan arrival
	results  chan result
	again    chan *task // observations whose delay is over
	pulled   chan error // the end of a pull
	pulling  bool
	// pullAfter and pullDelay space pulls that fail.
	pullAfter time.Time
	pullDelay time.Duration
	group     sync.WaitGroup
	inHand    atomic.Int64 // how many inputs the queues hold
	// delivered is the last delivery's place among all of the consumer, and
	// behind whether more waited for delivery then.
	delivered uint64
	behind    bool
}

// outage is a pause while a dependency is out.
type outage struct {
	dependency string
	key        string // its first task is the probe
	wait       time.Duration
	next       time.Time
	since      time.Time
	probing    bool
}

// Run consumes until ctx ends and returns when all work has stopped: nil, or
// why it could not begin.
func (c *Consumer) Run(ctx context.Context) error {
	io, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	defer stop()
	s := &schedule{
		Consumer: c,
		worker:   &worker{Consumer: c, io: io, yields: make(chan *yielding)},
		queues:   newQueues(),
		arrivals: make(chan arrival),
		results:  make(chan result),
		again:    make(chan *task),
		pulled:   make(chan error),
	}
	if err := s.bind(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer s.measure()()
	s.loop(ctx)
	s.drain()
	return nil
}

// bind finds the consumer on the server, and waits until it is there.
func (s *schedule) bind(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		err := s.bindOnce(ctx)
		if err == nil || errors.Is(err, ErrDenied) {
			return err
		}
		if attempt == 3 {
			s.log.Warn("the consumer is not there yet: waiting until the provisioner has made it", "error", err)
		}
		if !pause(ctx, min(retryWait<<min(attempt, 10), retryMost)) {
			return ctx.Err()
		}
	}
}

func (s *schedule) bindOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	denied, done := s.conn.wire.denials.watch("$JS.API.CONSUMER.INFO." + natsconfig.StreamEvents + "." + s.name)
	defer done()
	source, err := s.conn.js.Consumer(ctx, natsconfig.StreamEvents, s.name)
	if err != nil {
		select {
		case err = <-denied:
		default:
		}
		return fmt.Errorf("consumer %s: %w", s.name, err)
	}
	s.source = source
	config := source.CachedInfo().Config
	s.worker.backoff = config.BackOff
	if len(config.BackOff) == 0 {
		s.worker.backoff = backoff{config.AckWait}
	}
	return nil
}

// loop is the consumer's life.
func (s *schedule) loop(ctx context.Context) {
	heartbeat := time.NewTicker(max(s.worker.backoff.after(1)/3, 10*time.Millisecond))
	defer heartbeat.Stop()
	for ctx.Err() == nil {
		s.inHand.Store(int64(len(s.queues.held)))
		s.dispatch(ctx)
		s.pull(ctx)
		select {
		case <-ctx.Done():
		case a := <-s.arrivals:
			s.arrive(a)
		case r := <-s.results:
			s.finish(ctx, r)
		case t := <-s.again:
			s.queues.add(t)
		case y := <-s.worker.yields:
			s.giveWay(y, time.Now())
		case <-s.wake:
			for _, t := range s.takeObserved() {
				s.queues.add(t)
			}
		case err := <-s.pulled:
			s.endPull(err)
		case <-heartbeat.C:
			s.beat()
		case <-s.timer():
		}
	}
}

// timer fires when something that waits for a time may be due.
func (s *schedule) timer() <-chan time.Time {
	var due []time.Time
	switch {
	case s.outage != nil && !s.outage.probing:
		due = append(due, s.outage.next)
	case s.outage == nil && !s.pulling && s.room() > 0:
		due = append(due, s.pullAfter)
	}
	if len(s.yielded) > 0 {
		due = append(due, s.nextToGoOn())
	}
	if len(due) == 0 {
		return nil
	}
	return time.After(time.Until(slices.MinFunc(due, time.Time.Compare)))
}

// dispatch starts as much work as may be done at once, and has what yields go on
// where nothing waits to begin; in an outage one task alone, when its time has
// come.
func (s *schedule) dispatch(ctx context.Context) {
	now := time.Now()
	s.resumeOverdue(now)
	if o := s.outage; o != nil {
		if o.probing || now.Before(o.next) {
			return
		}
		t := s.queues.take(o.key)
		if t == nil { // gone, or at work since before the outage
			if t = s.queues.next(); t == nil {
				o.next = now.Add(o.wait)
				return
			}
			o.key = t.key
		}
		o.probing = true
		s.start(ctx, t)
		return
	}
	for s.working < s.options.Concurrency {
		if t := s.queues.next(); t != nil {
			s.start(ctx, t)
		} else if !s.resume(now) {
			return
		}
	}
}

func (s *schedule) start(ctx context.Context, t *task) {
	s.working++
	t.outlook = s.outlook(t)
	t.last = s.last(t)
	s.group.Go(func() { s.results <- s.worker.work(ctx, t) })
}

// finish takes note of what became of a task.
func (s *schedule) finish(ctx context.Context, r result) {
	s.working--
	s.queues.done(r.task, r.keep)
	if ctx.Err() != nil {
		return // what is kept is given back at the end
	}
	if r.again > 0 {
		s.group.Go(func() {
			if pause(ctx, r.again) {
				select {
				case s.again <- r.task:
				case <-ctx.Done():
				}
			}
		})
	}
	s.weather(ctx, r)
}

// weather begins, prolongs or ends an outage.
func (s *schedule) weather(ctx context.Context, r result) {
	now := time.Now()
	switch o := s.outage; {
	case r.keep && o == nil:
		s.outage = &outage{dependency: r.dependency, key: r.task.key, wait: outageFirst, next: now.Add(outageFirst), since: now}
		s.conn.meter.outages.Add(ctx, 1, metric.WithAttributes(attribute.String("consumer", s.name), attribute.String("dependency", r.dependency)))
		s.log.WarnContext(telemetry.Within(ctx, causeOf(r.task).Traceparent), "a dependency is out: paused until it is back", "dependency", r.dependency, "error", r.cause)
	case r.keep && o.probing && r.task.key == o.key:
		o.probing, o.dependency = false, r.dependency
		o.wait = min(2*o.wait, outageMost)
		o.next = now.Add(o.wait)
	case !r.keep && o != nil && o.probing && r.task.key == o.key:
		s.log.InfoContext(telemetry.Within(ctx, causeOf(r.task).Traceparent), "the dependency is back", "dependency", o.dependency, "after", now.Sub(o.since))
		s.outage = nil
	}
}

// beat tells the server that everything in hand is being seen to.
func (s *schedule) beat() {
	for _, t := range s.queues.held {
		if err := t.latest().msg.InProgress(); err != nil {
			s.log.Debug("heartbeat not sent", "error", err)
		}
	}
}

// drain waits for what is at work and gives everything else back at once.
func (s *schedule) drain() {
	stopped := make(chan struct{})
	go func() {
		s.group.Wait()
		close(stopped)
	}()
	for {
		select {
		case r := <-s.results:
			s.queues.done(r.task, r.keep)
		case a := <-s.arrivals:
			s.arrive(a)
		case <-s.again:
		case err := <-s.pulled:
			s.endPull(err)
		case <-stopped:
			for _, t := range s.queues.held {
				s.returnNow(t.latest().msg)
			}
			if err := s.conn.wire.nc.FlushTimeout(time.Second); err != nil {
				s.log.Debug("flush", "error", err)
			}
			return
		}
	}
}
