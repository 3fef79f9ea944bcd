// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"time"

	"github.com/plumbline-dev/plumbline/test/proxy"
)

// kubeWireFaults are what happens between the services and the API server.
var kubeWireFaults = []Fault{
	{
		Row: "F16", Name: "apiserver-answers", About: "the API server answers some or all requests with 429 (Retry-After 1), 503 or 504", Weight: 3,
		Hold: Span{time.Second, 5 * time.Second}, Needs: NeedProxy, Inject: badAnswers,
	},
	{
		Row: "F16", Name: "apiserver-one-seat", About: "priority and fairness give the applier one seat and refuse the rest", Weight: 2,
		Hold: Span{2 * time.Second, 5 * time.Second}, Needs: NeedCluster,
		Inject: func(ctx context.Context, w *World, _ *rand.Rand) (Lift, error) {
			return w.Kube.Unthrottle, w.Kube.Throttle(ctx)
		},
	},
	{
		Row: "F17", Name: "answers-lost", About: "writes take effect, and their answers are lost", Weight: 4,
		Hold: Span{time.Second, 4 * time.Second}, Needs: NeedProxy,
		Inject: func(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
			w.Links.Kube["applier"].Rule(proxy.Rule{Match: sometimes(rng, writes), Lose: true})
			return w.mendKube, nil
		},
	},
	{
		Row: "F17", Name: "answers-cut", About: "answers of the API server are cut in the middle, lists and watches among them", Weight: 2,
		Hold: Span{time.Second, 4 * time.Second}, Needs: NeedProxy,
		Inject: func(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
			for _, web := range w.Links.Kube {
				web.Rule(proxy.Rule{Match: sometimes(rng, func(*http.Request) bool { return true }), Cut: int64(1 + rng.IntN(3000))})
				web.Reset()
			}
			return w.mendKube, nil
		},
	},
	{
		Row: "F19", Name: "watch-gone", About: "every watch ends, and the next ones are answered 410", Weight: 3,
		Hold: Span{time.Second, 4 * time.Second}, Needs: NeedProxy,
		Inject: func(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
			for _, web := range w.Links.Kube {
				web.Rule(proxy.Rule{Match: watches, Times: 1 + rng.IntN(20), Status: http.StatusGone, Body: expired})
				web.Reset()
			}
			return w.mendKube, nil
		},
	},
	{
		Row: "F19", Name: "watch-half-open", About: "connections to the API server stay, and nothing comes on them ever again; found by client-go's pings, which begin after 5 s here and after 30 s else", Weight: 2,
		Hold: Span{500 * time.Millisecond, 3 * time.Second}, Needs: NeedProxy,
		Inject: func(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
			lose := []proxy.Direction{proxy.ToClient, proxy.Both}[rng.IntN(2)]
			for _, web := range w.Links.Kube {
				web.Set(proxy.Fault{Lose: lose})
			}
			return w.mendKube, nil
		},
	},
	{
		Row: "F19", Name: "compacted", About: "while nobody watches, etcd forgets what was, and the API server is started again", Weight: 2,
		Hold: Span{time.Second, 3 * time.Second}, Needs: NeedProxy, Inject: compacted,
	},
	{
		Row: "F33", Name: "cluster-restored", About: "the cluster put back from a backup some changes old; its resourceVersions come back too", Weight: 2,
		Hold: Span{time.Second, 3 * time.Second}, Needs: NeedCluster, Loses: RestoresCluster, Inject: restoreCluster(0),
	},
	{
		Row: "F33", Name: "cluster-restored-bumped", About: "the same, with etcd's revision raised and compacted as its manual asks", Weight: 2,
		Hold: Span{time.Second, 3 * time.Second}, Needs: NeedCluster, Loses: RestoresCluster, Inject: restoreCluster(100_000),
	},
}

// expired is what the API server says of a resourceVersion that is too old.
const expired = `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}`

// mendKube ends what is wrong between the services and the API server.
func (w *World) mendKube(context.Context) error {
	met := 0
	for _, web := range w.Links.Kube {
		met += web.Struck()
		for _, n := range web.Used() {
			met += n
		}
		web.Mend()
	}
	if met == 0 {
		w.Missed("no request was of those that it is for")
	}
	return nil
}

func writes(r *http.Request) bool { return r.Method != http.MethodGet }

func watches(r *http.Request) bool { return r.URL.Query().Get("watch") != "" }

// sometimes fits a share of what another fits, by a chance that requests of
// several goroutines draw from.
func sometimes(rng *rand.Rand, fits func(*http.Request) bool) func(*http.Request) bool {
	share := 2 + rng.Uint64N(3)
	seed := rng.Uint64()
	return func(r *http.Request) bool {
		if !fits(r) {
			return false
		}
		// Each request anew, the same one tried again too.
		h := seed ^ uint64(time.Now().UnixNano())                 //nolint:gosec // a chance
		return rand.New(rand.NewPCG(seed, h)).Uint64N(share) == 0 //nolint:gosec // a test's chance
	}
}

func badAnswers(_ context.Context, w *World, rng *rand.Rand) (Lift, error) {
	status := []int{http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout}[rng.IntN(3)]
	all := func(*http.Request) bool { return true }
	match := all
	if rng.IntN(2) == 0 {
		match = sometimes(rng, all)
	}
	rule := proxy.Rule{Match: match, Status: status, Body: fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"try later","code":%d}`, status)}
	if status == http.StatusTooManyRequests {
		rule.RetryAfter = time.Second
	}
	for _, web := range w.Links.Kube {
		web.Rule(rule)
	}
	return w.mendKube, nil
}

// compacted keeps everything from the services while it happens, so that they
// ask for what is no more.
func compacted(_ context.Context, w *World, _ *rand.Rand) (Lift, error) {
	for _, web := range w.Links.Kube {
		web.Set(proxy.Fault{Refuse: true})
	}
	return func(ctx context.Context) error {
		defer w.Links.Mend()
		if err := w.Cluster.Compact(ctx); err != nil {
			return err
		}
		if err := w.Cluster.Kill(); err != nil {
			return err
		}
		return w.Cluster.Restart(ctx)
	}, nil
}

// restoreCluster takes a backup, lets the workload go on, and puts it back.
func restoreCluster(bump int) func(context.Context, *World, *rand.Rand) (Lift, error) {
	return func(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
		backup := filepath.Join(w.Dir, fmt.Sprintf("cluster-backup-%016x", rng.Uint64()))
		if err := w.Cluster.Save(ctx, backup); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			// Nobody can be told of the other past before it is written down
			// that there is one.
			if err := w.Cluster.Kill(); err != nil {
				return err
			}
			w.Relist()
			return w.Cluster.Restore(ctx, backup, bump)
		}, nil
	}
}
