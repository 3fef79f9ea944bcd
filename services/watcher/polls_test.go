// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"os"
	"path/filepath"

	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// poller is a watcher that looks when it is told to.
type poller struct {
	*lab
	hub     *hub
	mirrors string
	ctx     context.Context
	end     context.CancelFunc
	done    chan error
}

// wrapping puts something before a watcher's log; end ends the watcher.
type wrapping func(log ledger, end context.CancelFunc) ledger

// poller starts a watcher with mirrors of its own; wrap may be nil.
func (l *lab) poller(conn *bus.Conn, mirrors string, wrap wrapping) *poller {
	l.Helper()
	c := l.config
	c.Mirrors = filepath.Join(l.config.Mirrors, mirrors)
	s, err := c.check()
	l.must(err)
	l.must(os.MkdirAll(s.Mirrors, 0o700))
	p := &poller{lab: l, mirrors: s.Mirrors, done: make(chan error, 1)}
	p.ctx, p.end = context.WithCancel(context.Background())
	log := ledger(conn)
	if wrap != nil {
		log = wrap(conn, p.end)
	}
	p.hub = newHub(s, log, conn.Blobs(), bustest.Log(l))
	quiet := func(ctx context.Context) error { <-ctx.Done(); return nil }
	go func() { p.done <- p.hub.run(p.ctx, quiet, nil) }()
	l.Cleanup(p.stop)
	return p
}

func (p *poller) stop() {
	p.Helper()
	p.end()
	if p.done == nil {
		return
	}
	if err := <-p.done; err != nil {
		p.Errorf("watcher: %v", err)
	}
	p.done = nil
}

// poll lets the watcher look at everything, twice at least, from the listing
// to the last thing that follows from it; or until it has ended. Nobody else
// lists meanwhile. What the fleet declares is known before the looks at the
// repository are counted.
func (p *poller) poll() {
	p.Helper()
	for _, repository := range []string{"fleet", "shop"} {
		// The first listing may have begun before; when the last one begins,
		// what follows from those before it is done.
		want := p.git.Listings(repository) + 4
		bustest.Eventually(p, "looks at "+repository, func() bool {
			p.hub.look("", byPoll)
			return p.git.Listings(repository) >= want || p.ctx.Err() != nil
		})
	}
}
