// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/memory"
)

// Limits of one decoded source. The watcher refuses larger ones before.
const (
	maxSourceBytes   = 1 << 30
	maxSourceObjects = 2_000_000
)

// errSource says that a decrypted source is not the pack of the tree that its
// revision names.
var errSource = errors.New("the source is no complete pack of its tree")

// unpack decodes a pack into the tree with the given id. Every object's id is
// computed from its content, so what is found by id is what Git names.
func unpack(pack []byte, tree string) (*tree, error) {
	size, err := measure(pack)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSource, err)
	}
	store := memory.NewStorage()
	parser, err := packfile.NewParserWithStorage(packfile.NewScanner(bytes.NewReader(pack)), store)
	if err == nil {
		_, err = parser.Parse()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSource, err)
	}
	root := plumbing.NewHash(tree)
	if root.String() != tree {
		return nil, fmt.Errorf("%w: %q is no object id", errSource, tree)
	}
	t := newTree(store, root, size)
	if _, err := t.directory(root); err != nil {
		return nil, err
	}
	return t, nil
}

// measure adds up the sizes that a pack declares, before anything of it is
// held in memory.
func measure(pack []byte) (int64, error) {
	scanner := packfile.NewScanner(bytes.NewReader(pack))
	_, count, err := scanner.Header()
	if err != nil {
		return 0, err
	}
	if count > maxSourceObjects {
		return 0, fmt.Errorf("%d objects; at most %d are read", count, maxSourceObjects)
	}
	var total int64
	for range count {
		h, err := scanner.NextObjectHeader()
		if err != nil {
			return 0, err
		}
		if h.Type.IsDelta() { // it may make gigabytes of a few bytes, and the watcher writes none
			return 0, errors.New("a delta")
		}
		if h.Length < 0 || h.Length > maxSourceBytes-total {
			return 0, fmt.Errorf("more than %d bytes", maxSourceBytes)
		}
		total += h.Length
		if _, _, err := scanner.NextObject(io.Discard); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// sources keeps decoded trees by id, the last used first, within a budget of
// bytes, so that the applications of one commit decode it once. One that none
// of them has read for a while is let go: the next commit brings another. It is
// safe for concurrent use.
type sources struct {
	budget  int64
	rest    time.Duration // see restAfter
	fetched atomic.Int64  // trees decoded

	mu      sync.Mutex
	used    int64
	recent  *list.List // of *held
	byTree  map[string]*list.Element
	loading map[string]*load
	resting bool // a look for trees that are not used is due
}

type held struct {
	id   string
	tree *tree
	used time.Time
}

type load struct {
	done chan struct{}
	tree *tree
	err  error
}

func newSources(budget int64) *sources {
	return &sources{budget: budget, rest: restAfter, recent: list.New(), byTree: map[string]*list.Element{}, loading: map[string]*load{}}
}

// get returns the tree with an id, calling fetch for its pack where it is not
// held. Calls for one tree share one fetch.
func (s *sources) get(ctx context.Context, id string, fetch func(context.Context) ([]byte, error)) (*tree, error) {
	for {
		s.mu.Lock()
		if e, ok := s.byTree[id]; ok {
			s.recent.MoveToFront(e)
			h := e.Value.(*held)
			h.used = time.Now()
			s.mu.Unlock()
			return h.tree, nil
		}
		l, others := s.loading[id]
		if !others {
			l = &load{done: make(chan struct{})}
			s.loading[id] = l
		}
		s.mu.Unlock()
		if !others {
			s.load(ctx, id, l, fetch)
			return l.tree, l.err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.done:
		}
		// The one who loaded may have been cancelled; that is not our failure.
		if l.err == nil || !errors.Is(l.err, context.Canceled) {
			return l.tree, l.err
		}
	}
}

func (s *sources) load(ctx context.Context, id string, l *load, fetch func(context.Context) ([]byte, error)) {
	s.fetched.Add(1)
	pack, err := fetch(ctx)
	if err == nil {
		l.tree, err = unpack(pack, id)
	}
	l.err = err
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.loading, id)
	close(l.done)
	if err != nil {
		return
	}
	s.byTree[id] = s.recent.PushFront(&held{id, l.tree, time.Now()})
	s.used += l.tree.size
	for s.used > s.budget && s.recent.Len() > 1 {
		s.dropLast()
	}
	s.restLater()
}

// dropLast lets the tree go that was not used for longest. mu is held.
func (s *sources) dropLast() {
	last := s.recent.Remove(s.recent.Back()).(*held)
	delete(s.byTree, last.id)
	s.used -= last.tree.size
}

// restLater has the trees that are not used let go later. mu is held.
func (s *sources) restLater() {
	if s.resting || s.recent.Len() == 0 {
		return
	}
	s.resting = true
	time.AfterFunc(s.rest, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.resting = false
		for s.recent.Len() > 0 && time.Since(s.recent.Back().Value.(*held).used) >= s.rest {
			s.dropLast()
		}
		s.restLater()
	})
}
