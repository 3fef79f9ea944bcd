// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"sync"

	"k8s.io/apimachinery/pkg/watch"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/rewind"
)

// That the cluster was restored from a backup (see package rewind) is proven by
//
//   - a watch that is opened, see past.follow
//   - a list, compared with what was known up to its version
//   - an inventory that is read, compared with what was known before it was asked for
//
// What is remembered of the whole cluster counts no longer then, see
// applier.rewound.

// past is which past of the cluster something that is watched is of. Its lock
// guards what was seen too, which is its owner's.
type past struct {
	rewound func()

	mu   sync.RWMutex
	high string // the highest resourceVersion that was seen, in a list, a watch or an answer
	// life counts the pasts that the cluster had; back says that of the
	// present one nothing was listed yet: the next list alone counts.
	life int
	back bool
	stop context.CancelFunc // ends the present list or watch
}

// rewind begins another past: all is to be listed anew. p.mu is held.
func (p *past) rewind() {
	p.life++
	p.back, p.high = true, ""
	if p.stop != nil {
		p.stop()
	}
}

// begin notes how the list or watch that begins is ended, and says of which
// past of the cluster it is.
func (p *past) begin(stop context.CancelFunc) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop = stop
	return p.life
}

// known is the highest resourceVersion that was seen in the present past of the
// cluster, at least the one from which a watch goes on.
func (p *past) known(from string) (version string, life int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.high == "" { // of this past nothing is known
		return "", p.life
	}
	return rewind.Later(p.high, from), p.life
}

// went says that the API server's history went back, as seen from a past of it.
func (p *past) went(life int) {
	p.mu.RLock()
	now := p.life
	p.mu.RUnlock()
	if now == life { // else that is known
		p.rewound()
	}
}

// follow opens a watch, and tells where it has nothing to follow.
func (p *past) follow(ctx context.Context, from string, open func(context.Context) (watch.Interface, error), newest func(context.Context) (string, error)) (watch.Interface, error) {
	known, life := p.known(from)
	changes, err := rewind.Watch(ctx, known, open, newest)
	if errors.Is(err, rewind.ErrRewound) {
		p.went(life)
	}
	return changes, err
}

// rewound is called when it is proven that the cluster was restored from a
// backup. What is remembered of it may be of a future that never was: all of
// it is listed anew, and then everything is compared with Git, before which
// nothing is pruned. The inventories are as old as the rest; the log shows
// which revision an application was at, see Fence.Admit.
func (a *applier) rewound() {
	a.log.Warn("the cluster's resourceVersion went back: it was restored from a backup. Everything is compared anew")
	a.doubtAll()
	a.observer.rewind()
	a.inventories.rewindAll()
}

// relisted is called when the inventories of a cluster that was restored are
// known.
func (a *applier) relisted() {
	a.doubtAll()
	a.resync(events.Event{})
}

func (a *applier) doubtAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, app := range a.applications {
		app.doubt.Store(true)
	}
}
