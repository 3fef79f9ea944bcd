// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// notes are what the log holds of each application, as this process has read it
// and written on it since. The renderer alone publishes outcomes, and handles one
// input of an application at a time, so that stays true for a tenure: while the
// consumer's deliveries all come here, over one connection.
//
// An entry is taken out by whoever works on the application, and put back once
// what came of that is stored: an attempt that fails, whatever it has left in the
// log, leaves nothing here, and the log is asked again. So it is for an input that
// came before, a look at the level, another epoch, and an entry of long ago. An
// outcome of another renderer that was started by mistake, and has pulled nothing
// yet, is met by the expectation that goes with what is published. It is safe for
// concurrent use.
type notes struct {
	mu        sync.Mutex
	byAddress map[events.Address]note
}

// note is a view, and for how long it is believed.
type note struct {
	view
	tenure bus.Tenure
	read   time.Time // when the log was asked last
}

// maxNotes bounds them: there are few fleets with more
// applications, and those of the others are asked for.
const maxNotes = 10_000

func newNotes() *notes { return &notes{byAddress: map[events.Address]note{}} }

// take takes out what is known of an application: all that there is to know
// before an input, or false.
func (m *notes) take(ctx context.Context, in events.Event) (note, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.byAddress[in.Address]
	delete(m.byAddress, in.Address)
	tenure, known := bus.TenureOf(ctx)
	fits := ok && known && r.tenure == tenure && bus.Now(ctx).Sub(r.read) < resyncEvery &&
		r.previous.order.Epoch == in.Epoch && r.previous.order.Sequence < in.Sequence
	return r, fits
}

// keep remembers what follows from a view once what it led to is stored.
func (m *notes) keep(ctx context.Context, in events.Event, r note) {
	if (r.tenure == bus.Tenure{}) {
		return
	}
	bus.Stored(ctx, func(out []events.Event) {
		r.view = r.after(out[0])
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.byAddress) < maxNotes {
			m.byAddress[in.Address] = r
		}
	})
}

// after is the view once an outcome is stored that was decided from it. Its
// bundle was seen to be there.
func (v view) after(e events.Event) view {
	v.last = maps.Clone(v.last)
	v.last[e.Type] = e.Stored
	v.add(e)
	if v.previous.phase != phaseFailed {
		v.whole = v.good.Bundle.Name
	}
	return v
}
