// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// hostFaults are what a Git host does wrong. Pushes go on behind it.
var hostFaults = []Fault{
	{
		Row: "F24", Name: "git-down", About: "the Git host cuts every connection", Weight: 2,
		Hold: Span{500 * time.Millisecond, 4 * time.Second}, Inject: misbehave(func(*rand.Rand) gitserver.Fault { return gitserver.Down() }),
	},
	{
		Row: "F24", Name: "git-errors", About: "the Git host answers 500, 502, 503, 429, 401, 403 or 404", Weight: 2,
		Hold: Span{500 * time.Millisecond, 4 * time.Second},
		Inject: misbehave(func(rng *rand.Rand) gitserver.Fault {
			return gitserver.Status([]int{500, 502, 503, 429, 401, 403, 404}[rng.IntN(7)])
		}),
	},
	{
		Row: "F24", Name: "git-redirects", About: "the Git host redirects to another host", Weight: 2,
		Hold:   Span{500 * time.Millisecond, 3 * time.Second},
		Inject: misbehave(func(*rand.Rand) gitserver.Fault { return gitserver.Redirect("http://127.0.0.1:9") }),
	},
	{
		Row: "F24", Name: "git-slow", About: "the Git host takes its time with lists, with packs or with both", Weight: 2,
		Hold: Span{time.Second, 4 * time.Second},
		Inject: misbehave(func(rng *rand.Rand) gitserver.Fault {
			slow := gitserver.Slow(time.Duration(300+rng.IntN(3000)) * time.Millisecond)
			return []gitserver.Fault{slow, gitserver.Only(gitserver.List, slow), gitserver.Only(gitserver.Fetch, slow)}[rng.IntN(3)]
		}),
	},
	{
		Row: "F24", Name: "git-cut", About: "the Git host breaks off in the middle of its answers", Weight: 2,
		Hold:   Span{500 * time.Millisecond, 3 * time.Second},
		Inject: misbehave(func(rng *rand.Rand) gitserver.Fault { return cutOff(1 + rng.IntN(1500)) }),
	},
	{
		Row: "F24", Name: "git-refuses", About: "the Git host wants credentials that nobody has", Weight: 1,
		Hold: Span{500 * time.Millisecond, 3 * time.Second},
		Inject: func(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
			w.Git.SetCredentials("ada", fmt.Sprint(rng.Uint64()))
			return func(context.Context) error { w.Git.SetCredentials("", ""); return nil }, nil
		},
	},
}

// misbehave has the Git host fail, all of it or one repository.
func misbehave(how func(*rand.Rand) gitserver.Fault) func(context.Context, *World, *rand.Rand) (Lift, error) {
	return func(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
		fault := how(rng)
		if rng.IntN(3) == 0 {
			fault = gitserver.For(w.Plan.Repositories[rng.IntN(len(w.Plan.Repositories))], fault)
		}
		w.Git.Inject(fault)
		return func(context.Context) error { w.Git.Inject(nil); return nil }, nil
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
