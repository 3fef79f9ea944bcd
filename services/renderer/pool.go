// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/plumbline-dev/plumbline/events"
)

// maxRenders is how many requests a child serves before it is replaced:
// kustomize keeps what it parses in globals.
const maxRenders = 500

// pool holds the render children. A slot is a child, or the right to start
// one.
type pool struct {
	limits limits
	log    *slog.Logger
	slots  chan *worker
	size   int
	launch func() (*worker, error)

	unisolated sync.Once
	renders    atomic.Int64 // requests that reached a child
	started    atomic.Int64 // children
}

func newPool(size int, l limits, log *slog.Logger) *pool {
	p := &pool{limits: l, log: log, slots: make(chan *worker, size), size: size, launch: start}
	for range size {
		p.slots <- nil
	}
	return p
}

// close ends every child. No render may be under way.
func (p *pool) close() {
	for range p.size {
		if w := <-p.slots; w != nil {
			w.stop()
		}
	}
}

// render renders a path of a tree in a child. Failures, limits and crashes
// included, are in the result; an error is none of the input's.
func (p *pool) render(ctx context.Context, t *tree, name string) (result, error) {
	out, err := p.once(ctx, t, name)
	if errors.Is(err, errKilled) {
		// Whoever killed it may have meant the child and not this input.
		out, err = p.once(ctx, t, name)
	}
	if errors.Is(err, errKilled) {
		err = fail(events.ReasonCrashed, name, 0, "the render died twice without a word. If the machine is short of memory, give it more or lower the renderer's --memory")
	}
	var f *failure
	if errors.As(err, &f) {
		return result{reply: reply{Failure: f}}, nil
	}
	return out, err
}

func (p *pool) once(ctx context.Context, t *tree, name string) (result, error) {
	var w *worker
	select {
	case <-ctx.Done():
		return result{}, ctx.Err()
	case w = <-p.slots:
	}
	keep := w
	defer func() { p.slots <- keep }()
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
		keep = nil
	} else {
		keep = w
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
