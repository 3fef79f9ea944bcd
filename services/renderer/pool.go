// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxRenders is how many requests a child serves before it is replaced:
// kustomize keeps what it parses in globals.
const maxRenders = 500

// restAfter is how long a child waits for its next render, and a decoded tree
// for the next application that reads it, before it is given up. A child holds
// as much memory as a service; another one starts in some ten milliseconds.
const restAfter = 30 * time.Second

// pool holds the render children. A slot is the right to have one at work.
type pool struct {
	limits limits
	log    *slog.Logger
	slots  chan struct{}
	heavy  chan struct{} // of those, what renders beyond the quantum may hold: see [pool.turn]
	rest   time.Duration
	// quantum is how long a render of a tree may keep a slot from others.
	quantum func(*tree) time.Duration
	launch  func() (*worker, error)

	mu   sync.Mutex
	idle []waiting // the last one that worked is taken first: the others may rest

	unisolated sync.Once
	renders    atomic.Int64 // requests that reached a child
	started    atomic.Int64 // children
}

// waiting is a child without work.
type waiting struct {
	*worker
	since time.Time
}

func newPool(size int, l limits, log *slog.Logger) *pool {
	return &pool{
		limits: l, log: log, slots: make(chan struct{}, size), heavy: make(chan struct{}, max(1, size-1)), rest: restAfter,
		quantum: func(*tree) time.Duration { return quantum }, launch: start,
	}
}

// close ends every child. No render may be under way.
func (p *pool) close() { p.end(time.Now()) }

// end ends the children that have waited since a moment or longer.
func (p *pool) end(since time.Time) {
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && !p.idle[n].since.After(since) {
		n++
	}
	resting := p.idle[:n:n]
	p.idle = slices.Clone(p.idle[n:])
	p.mu.Unlock()
	for _, w := range resting {
		w.stop()
	}
}

// take takes the child that worked last; nil: there is none.
func (p *pool) take() *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	w := p.idle[n-1].worker
	p.idle = p.idle[:n-1]
	return w
}

// keep has a child wait for its next render, for a while.
func (p *pool) keep(w *worker) {
	since := time.Now()
	p.mu.Lock()
	p.idle = append(p.idle, waiting{w, since})
	p.mu.Unlock()
	time.AfterFunc(p.rest, func() { p.end(since) })
}

// render renders a path of a tree in a child. Failures, limits and faults of a
// parser included, are in the result. An error may be of whoever killed the
// child: it is tried again, ever more rarely, and counted by the bus.
func (p *pool) render(ctx context.Context, t *tree, name string) (result, error) {
	out, err := p.once(ctx, t, name)
	if errors.Is(err, errKilled) {
		// Whoever killed it may have meant the child and not this input.
		out, err = p.once(ctx, t, name)
	}
	if errors.Is(err, errKilled) {
		err = fmt.Errorf("%s died twice without a word; if the machine is short of memory, give it more or lower the renderer's --memory: %w", name, err)
	}
	var f *failure
	if errors.As(err, &f) {
		return result{reply: reply{Failure: f}}, nil
	}
	return out, err
}

// once renders, in a second turn where the first was too long.
func (p *pool) once(ctx context.Context, t *tree, name string) (result, error) {
	out, err := p.turn(ctx, t, name)
	if !errors.Is(err, errHeavy) {
		return out, err
	}
	if err := acquire(ctx, p.heavy); err != nil {
		return result{}, err
	}
	defer release(p.heavy)
	return p.inSlot(ctx, t, name)
}

// inSlot renders in a slot.
func (p *pool) inSlot(ctx context.Context, t *tree, name string) (result, error) {
	if err := acquire(ctx, p.slots); err != nil {
		return result{}, err
	}
	defer release(p.slots)
	return p.work(ctx, t, name)
}

// work renders in the slot that is held.
func (p *pool) work(ctx context.Context, t *tree, name string) (result, error) {
	w := p.take()
	if w == nil {
		var err error
		if w, err = p.start(); err != nil {
			return result{}, err
		}
	}
	p.renders.Add(1)
	out, err := w.render(ctx, t, name, p.limits)
	if err != nil || out.Spent || w.renders >= maxRenders || out.Failure != nil && !out.Failure.lasting() {
		w.stop()
	} else {
		p.keep(w)
	}
	return out, err
}

func (p *pool) start() (*worker, error) {
	w, err := p.launch()
	if err != nil {
		return nil, err
	}
	p.started.Add(1)
	if w.network {
		p.unisolated.Do(func() {
			p.log.Warn("the kernel allows no network namespace for render children; they run without one", "allow", "unprivileged user namespaces (kernel.unprivileged_userns_clone, user.max_user_namespaces)")
		})
	}
	return w, nil
}
