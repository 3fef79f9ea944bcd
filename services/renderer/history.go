// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"container/list"
	"sync"

	"github.com/plumbline-dev/plumbline/events"
)

// params is everything but the tree that a bundle is a function of.
type params struct {
	cluster, path, namespace, recipient, version string
}

// known is what one render came to.
type known struct {
	params  params
	reads   readSet
	failure *failure // lasting ones only
	digest  string
	objects []events.DeclaredObject // since is not filled in
	bundle  events.Blob
}

// perApplication is how many renders of one application are kept: what a
// branch goes back to is mostly one of the last few.
const perApplication = 4

// history keeps the last renders of each application, within a budget of
// recorded paths. It is safe for concurrent use.
type history struct {
	budget int

	mu     sync.Mutex
	paths  int
	recent *list.List // of *remembered, the last used first
	byApp  map[string]*list.Element
}

type remembered struct {
	app     string
	renders []*known // newest first
}

func newHistory(budget int) *history {
	return &history{budget: budget, recent: list.New(), byApp: map[string]*list.Element{}}
}

// find returns a render of the application that would come out the same from
// this tree; nil where none is known.
func (m *history) find(app string, p params, t *tree) (*known, error) {
	for _, k := range m.renders(app) {
		if k.params != p {
			continue
		}
		ok, err := k.reads.holds(t)
		if err != nil {
			return nil, err
		}
		if ok {
			return k, nil
		}
	}
	return nil, nil
}

func (m *history) renders(app string) []*known {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.byApp[app]
	if !ok {
		return nil
	}
	m.recent.MoveToFront(e)
	return append([]*known(nil), e.Value.(*remembered).renders...)
}

// keep remembers a render, in place of an older equal one.
func (m *history) keep(app string, k *known) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.byApp[app]
	if !ok {
		e = m.recent.PushFront(&remembered{app: app})
		m.byApp[app] = e
	}
	r := e.Value.(*remembered)
	m.paths -= r.paths()
	r.renders = append([]*known{k}, r.renders...)
	if len(r.renders) > perApplication {
		r.renders = r.renders[:perApplication]
	}
	m.paths += r.paths()
	m.recent.MoveToFront(e)
	for m.paths > m.budget && m.recent.Len() > 1 {
		last := m.recent.Remove(m.recent.Back()).(*remembered)
		delete(m.byApp, last.app)
		m.paths -= last.paths()
	}
}

// drop forgets a render whose bundle is gone.
func (m *history) drop(app string, k *known) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.byApp[app]
	if !ok {
		return
	}
	r := e.Value.(*remembered)
	m.paths -= r.paths()
	kept := r.renders[:0:0]
	for _, other := range r.renders {
		if other != k {
			kept = append(kept, other)
		}
	}
	r.renders = kept
	m.paths += r.paths()
}

func (r *remembered) paths() int {
	n := 0
	for _, k := range r.renders {
		n += len(k.reads) + len(k.objects)
	}
	return n
}
