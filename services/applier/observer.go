// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"log/slog"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/rewind"
)

// observer runs the watches of one cluster. It may be used from several
// goroutines.
type observer struct {
	metadata metadata.Interface
	dynamic  dynamic.Interface
	log      *slog.Logger
	told     func(application, key string)
	rewound  func()
	reach    reach

	mu    sync.Mutex
	root  context.Context // of the watches
	done  sync.WaitGroup
	kinds map[watchScope]*kindWatch
}

// scope is what is watched to see o.
func (o *observer) scope(object events.Object) watchScope {
	return watchScope{schema.GroupKind{Group: object.Group, Kind: object.Kind}, o.reach.scope(object)}
}

// start starts the watch of a kind unless it runs.
func (o *observer) start(kind watchScope, r resource) *kindWatch {
	o.mu.Lock()
	defer o.mu.Unlock()
	w, ok := o.kinds[kind]
	if !ok {
		w = newKindWatch(kind, o.told, o.rewound)
		o.kinds[kind] = w
		o.done.Go(func() { o.run(w, r) })
	}
	return w
}

// watched returns the watch that sees an object, or nil.
func (o *observer) watched(object events.Object) *kindWatch {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kinds[o.scope(object)]
}

// get returns an object as last seen.
func (o *observer) get(object events.Object) (sighting, bool) {
	w := o.watched(object)
	if w == nil {
		return sighting{}, false
	}
	return w.get(object.Key())
}

// run lists and watches until the observer ends or the kind is no longer
// served.
func (o *observer) run(w *kindWatch, r resource) {
	ctx, stop := context.WithCancel(klog.NewContext(watchList(o.root), *quiet()))
	defer stop()
	var reflector *cache.Reflector
	life := 0
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		ctx, end := context.WithCancel(ctx)
		defer end()
		if now := w.begin(end); reflector == nil || now != life {
			life = now
			reflector = cache.NewReflectorWithOptions(o.lister(w, r), nil, w, cache.ReflectorOptions{
				Logger: quiet(), Name: "applier " + w.kind.String(), TypeDescription: w.kind.String(),
			}) // one remembers where it was
		}
		err := reflector.ListAndWatchWithContext(ctx)
		gone := apierrors.IsNotFound(err)
		if gone { // the CRD is: the next object of the kind starts a new watch
			o.mu.Lock()
			delete(o.kinds, w.kind)
			o.mu.Unlock()
			stop()
		}
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
		if gone {
			return
		}
		if err != nil && ctx.Err() == nil {
			o.log.Debug("watch ended: starting it again", "kind", w.kind.String(), "error", err)
		}
	}, watchAgain)
}

// rewind has everything listed anew.
func (o *observer) rewind() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range o.kinds {
		w.rewindAll()
	}
}

func (o *observer) lister(w *kindWatch, r resource) cache.ListerWatcher {
	if needsStatus(w.kind.Group, w.kind.Kind) {
		client := o.dynamic.Resource(r.GroupVersionResource).Namespace(w.kind.namespace)
		return listWatch(o.dynamic, &w.past, manifest.LabelApplication, client.List, client.Watch)
	}
	client := o.metadata.Resource(r.GroupVersionResource).Namespace(w.kind.namespace)
	return listWatch(o.metadata, &w.past, manifest.LabelApplication, client.List, client.Watch)
}

// listWatch lists and watches what a label selector picks, with a client's list
// and watch, and goes on in one past of the cluster.
func listWatch[L interface {
	runtime.Object
	metav1.ListInterface
}](client any, p *past, selector string, list func(context.Context, metav1.ListOptions) (L, error), changes func(context.Context, metav1.ListOptions) (watch.Interface, error)) cache.ListerWatcher {
	filter := func(options metav1.ListOptions) metav1.ListOptions {
		options.LabelSelector = selector
		return options
	}
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return list(watchList(ctx), filter(options))
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return p.follow(ctx, options.ResourceVersion, func(ctx context.Context) (watch.Interface, error) {
				return changes(watchList(ctx), filter(options))
			}, func(ctx context.Context) (string, error) {
				newest, err := list(watchList(ctx), filter(rewind.OnlyVersion()))
				if err != nil {
					return "", err
				}
				return newest.GetResourceVersion(), nil
			})
		},
	}, client)
}

// quiet is a logger that says nothing: what a reflector can't do it tries
// again, and what that costs is said by the work that waits for it.
func quiet() *klog.Logger { return new(klog.Logger) }
