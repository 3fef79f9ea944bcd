// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/proxy"
)

// hostFaults are what a Git host does wrong. Pushes go on behind it.
var hostFaults = []Fault{
	{
		Row: "F24", Name: "git-down", About: "the Git host cuts every connection", Weight: 2,
		Hold: Span{500 * time.Millisecond, 4 * time.Second}, Inject: misbehave(func(_ *rand.Rand, met count) gitserver.Fault { return met(gitserver.Down()) }),
	},
	{
		Row: "F24", Name: "git-errors", About: "the Git host answers 500, 502, 503, 429, 401, 403 or 404", Weight: 2,
		Hold: Span{500 * time.Millisecond, 4 * time.Second},
		Inject: misbehave(func(rng *rand.Rand, met count) gitserver.Fault {
			return met(gitserver.Status([]int{500, 502, 503, 429, 401, 403, 404}[rng.IntN(7)]))
		}),
	},
	{
		Row: "F24", Name: "git-redirects", About: "the Git host redirects to another host", Weight: 2,
		Hold:   Span{500 * time.Millisecond, 3 * time.Second},
		Inject: misbehave(func(_ *rand.Rand, met count) gitserver.Fault { return met(gitserver.Redirect("http://127.0.0.1:9")) }),
	},
	{
		Row: "F24", Name: "git-slow", About: "the Git host takes its time with lists, with packs or with both", Weight: 2,
		Hold: Span{time.Second, 4 * time.Second},
		Inject: misbehave(func(rng *rand.Rand, met count) gitserver.Fault {
			slow := met(gitserver.Slow(time.Duration(300+rng.IntN(3000)) * time.Millisecond))
			return []gitserver.Fault{slow, gitserver.Only(gitserver.List, slow), gitserver.Only(gitserver.Fetch, slow)}[rng.IntN(3)]
		}),
	},
	{
		Row: "F24", Name: "git-cut", About: "the Git host breaks off in the middle of its answers", Weight: 2,
		Hold:   Span{500 * time.Millisecond, 3 * time.Second},
		Inject: misbehave(func(rng *rand.Rand, met count) gitserver.Fault { return met(cutOff(1 + rng.IntN(1500))) }),
	},
	{
		Row: "F24", Name: "git-partition", About: "between the watcher and the Git host nothing gets through, or it takes up to 2 s each way, or connections are reset in the middle of a packet", Weight: 2,
		Hold: Span{time.Second, 4 * time.Second}, Needs: NeedProxy,
		Inject: func(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
			return w.wrong(w.Links.Git, []proxy.Fault{
				{Hold: proxy.Both}, {Delay: time.Duration(50+rng.IntN(1950)) * time.Millisecond}, {Cut: int64(1 + rng.IntN(3000))}, {Refuse: true},
			}[rng.IntN(4)]), nil
		},
	},
	{
		Row: "F24", Name: "git-refuses", About: "the Git host wants credentials that nobody has", Weight: 1,
		Hold: Span{500 * time.Millisecond, 3 * time.Second},
		Inject: func(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
			before := w.Git.Count(gitserver.List)
			w.Git.SetCredentials("ada", fmt.Sprint(rng.Uint64()))
			return func(context.Context) error {
				w.Git.SetCredentials("", "")
				if w.Git.Count(gitserver.List) == before {
					w.Missed("nobody asked the Git host for a list")
				}
				return nil
			}, nil
		},
	},
}

// wrong sets a fault of the wire before a server.
func (w *World) wrong(link *proxy.Web, fault proxy.Fault, rules ...proxy.Rule) Lift {
	link.Set(fault)
	link.Rule(rules...)
	w.Note(fmt.Sprintf("on the wire: %+v, %d rules", fault, len(rules)))
	return func(context.Context) error {
		met := link.Struck()
		for _, n := range link.Used() {
			met += n
		}
		link.Mend()
		if met == 0 {
			w.Missed("nothing was said on the wire")
		}
		return nil
	}
}

// count counts the requests that a fault meets.
type count func(gitserver.Fault) gitserver.Fault

// misbehave has the Git host fail, all of it or one repository.
func misbehave(how func(*rand.Rand, count) gitserver.Fault) func(context.Context, *World, *rand.Rand) (Lift, error) {
	return func(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
		var met atomic.Int64
		fault := how(rng, func(f gitserver.Fault) gitserver.Fault { return counting(f, &met) })
		if rng.IntN(3) == 0 {
			fault = gitserver.For(w.Plan.Repositories[rng.IntN(len(w.Plan.Repositories))], fault)
		}
		w.Git.Inject(fault)
		return func(context.Context) error {
			w.Git.Inject(nil)
			if met.Load() == 0 {
				w.Missed("nobody asked the Git host for what it is about")
			}
			return nil
		}, nil
	}
}

func counting(f gitserver.Fault, met *atomic.Int64) gitserver.Fault {
	return func(next http.Handler) http.Handler {
		broken := f(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			met.Add(1)
			broken.ServeHTTP(w, r)
		})
	}
}

// cutOff ends an answer after some bytes of its body.
func cutOff(after int) gitserver.Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&cut{w, after}, r)
		})
	}
}

type cut struct {
	http.ResponseWriter
	left int
}

func (c *cut) Write(b []byte) (int, error) {
	if len(b) <= c.left {
		c.left -= len(b)
		return c.ResponseWriter.Write(b)
	}
	_, _ = c.ResponseWriter.Write(b[:c.left]) // the client may have gone
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}
