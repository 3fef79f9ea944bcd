// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"net/http"
	"sync/atomic"
)

// meter counts API requests, in all and for each piece of work: what
// convergence.applied says that it took. Watches and the lists that start them
// belong to no piece of work.
type meter struct {
	stray atomic.Int64 // requests whose context names no piece of work
}

type meterKey struct{}

// count returns a context whose requests are counted in the number that it
// returns.
func count(ctx context.Context) (context.Context, *atomic.Int64) {
	t := new(sent)
	return context.WithValue(ctx, meterKey{}, t), &t.n
}

// charge counts the requests that carry no context of ours, up to the call of
// what it returns, towards ctx: those of discovery.
func (m *meter) charge(ctx context.Context) func() {
	before := m.stray.Load()
	return func() {
		if t, ok := ctx.Value(meterKey{}).(*sent); ok {
			t.add(m.stray.Load() - before)
		}
	}
}

// wrap counts what passes through next. It fits rest.Config.Wrap.
func (m *meter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		switch t, ok := r.Context().Value(meterKey{}).(*sent); {
		case ok:
			t.add(1)
		case r.URL.Query().Get("watch") == "" && !isWatchList(r.Context()):
			m.stray.Add(1)
		}
		return next.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type watchListKey struct{}

// watchList marks the requests of a watch, lists included.
func watchList(ctx context.Context) context.Context {
	return context.WithValue(ctx, watchListKey{}, true)
}

func isWatchList(ctx context.Context) bool { return ctx.Value(watchListKey{}) != nil }
