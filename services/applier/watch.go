// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
)

// watchAgain is how long after its end a watch is started again.
const watchAgain = 500 * time.Millisecond

// watchScope is what one watch sees: a kind, everywhere or in one namespace.
type watchScope struct {
	schema.GroupKind
	namespace string // empty: everywhere
}

func (s watchScope) String() string {
	if s.namespace == "" {
		return s.GroupKind.String()
	}
	return s.GroupKind.String() + " in the namespace " + s.namespace
}

// kindWatch is the watch of one kind, label-filtered for what Plumbline owns:
// metadata alone, or whole objects where health needs status, of which only
// the health is kept. It is a cache.ReflectorStore.
type kindWatch struct {
	kind watchScope
	told func(application, key string)

	mu      sync.RWMutex
	seen    map[string]sighting
	listed  string        // resourceVersion of the last list
	synced  chan struct{} // closed after the first list
	rewound func()
	err     error // of the last attempt to list
}

// syncTimeout is how long work waits for the first list of a kind.
const syncTimeout = 20 * time.Second

// await waits for the first list. It ends sooner where the cluster denies it,
// and with errUnknownKind where the kind is not served after all.
func (w *kindWatch) await(ctx context.Context) error {
	deadline := time.Now().Add(syncTimeout)
	for {
		select {
		case <-w.synced:
			return nil
		default:
		}
		w.mu.RLock()
		err := w.err
		w.mu.RUnlock()
		if apierrors.IsForbidden(err) {
			return &trouble{
				Reason: events.ReasonForbidden, APIReason: string(metav1.StatusReasonForbidden), Err: err,
				Message: w.denied(),
			}
		}
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("watch %s: %w", w.kind, errUnknownKind)
		}
		if err != nil && time.Now().After(deadline) {
			return fmt.Errorf("watch %s: %w", w.kind, err)
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("watch %s: %w", w.kind, err)
		}
	}
}

// denied says, for people, what to grant.
func (w *kindWatch) denied() string {
	grant := "a ClusterRole"
	if w.kind.namespace != "" {
		grant = "a Role there"
	}
	return fmt.Sprintf("the applier may not list and watch %s: grant it get, list, watch, create, patch and delete of it in %s", w.kind, grant)
}

func newKindWatch(kind watchScope, told func(application, key string), rewound func()) *kindWatch {
	return &kindWatch{kind: kind, told: told, rewound: rewound, seen: map[string]sighting{}, synced: make(chan struct{})}
}

func (w *kindWatch) sight(obj any) (sighting, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return sighting{}, fmt.Errorf("watch %s: %w", w.kind, err)
	}
	o := events.Object{Group: w.kind.Group, Kind: w.kind.Kind, Namespace: m.GetNamespace(), Name: m.GetName()}
	s := sight(o, m)
	if u, ok := obj.(*unstructured.Unstructured); ok {
		s.Health = healthOf(u)
	}
	return s, nil
}

// Add is called by the reflector for an object that appears.
func (w *kindWatch) Add(obj any) error { return w.Update(obj) }

// Update is called by the reflector for an object that changes.
func (w *kindWatch) Update(obj any) error {
	s, err := w.sight(obj)
	if err != nil {
		return err
	}
	w.keep(s)
	return nil
}

// keep remembers s unless something newer of the same object is known: the
// answer to a write may come before the watch tells of an older state.
func (w *kindWatch) keep(s sighting) {
	w.mu.Lock()
	was, ok := w.seen[s.Key()]
	if ok && older(s.ResourceVersion, was.ResourceVersion) {
		w.mu.Unlock()
		return
	}
	w.seen[s.Key()] = s
	w.mu.Unlock()
	w.told(s.Application, s.Key())
	if ok && was.Application != s.Application {
		w.told(was.Application, s.Key())
	}
}

// Delete is called by the reflector for an object that is gone, or no longer
// carries the label.
func (w *kindWatch) Delete(obj any) error {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	s, err := w.sight(obj)
	if err != nil {
		return err
	}
	w.mu.Lock()
	if was, ok := w.seen[s.Key()]; ok && was.UID == s.UID && !older(s.ResourceVersion, was.ResourceVersion) {
		delete(w.seen, s.Key())
	}
	w.mu.Unlock()
	w.told(s.Application, s.Key())
	return nil
}

// drop forgets an object that a request has shown to be gone.
func (w *kindWatch) drop(key string) {
	w.mu.Lock()
	delete(w.seen, key)
	w.mu.Unlock()
}

// Replace is called by the reflector with a whole list. What was written since
// stays; a list that is older than the one before shows that the cluster was
// restored from a backup, and then it alone counts.
func (w *kindWatch) Replace(list []any, resourceVersion string) error {
	w.mu.Lock()
	before := w.seen
	back := older(resourceVersion, w.listed)
	w.listed = resourceVersion
	w.seen = make(map[string]sighting, len(list))
	changed := map[string]string{}
	for _, obj := range list {
		s, err := w.sight(obj)
		if err != nil {
			w.mu.Unlock()
			return err
		}
		if was, ok := before[s.Key()]; ok && !back && older(s.ResourceVersion, was.ResourceVersion) {
			s = was
		}
		w.seen[s.Key()] = s
		changed[s.Key()] = s.Application
	}
	for key, was := range before {
		if _, ok := w.seen[key]; ok {
			continue
		}
		if !back && older(resourceVersion, was.ResourceVersion) {
			w.seen[key] = was
			continue
		}
		changed[key] = was.Application
	}
	w.mu.Unlock()
	select {
	case <-w.synced:
	default:
		close(w.synced)
	}
	if back {
		w.rewound()
	}
	for key, application := range changed {
		w.told(application, key)
	}
	return nil
}

// Resync is called by the reflector on a timer that we don't set.
func (w *kindWatch) Resync() error { return nil }

func (w *kindWatch) get(key string) (sighting, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	s, ok := w.seen[key]
	return s, ok
}

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
	reflector := cache.NewReflectorWithOptions(o.lister(w, r), nil, w, cache.ReflectorOptions{
		Logger: quiet(), Name: "applier " + w.kind.String(), TypeDescription: w.kind.String(),
	})
	wait.UntilWithContext(ctx, func(ctx context.Context) {
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

func (o *observer) lister(w *kindWatch, r resource) cache.ListerWatcher {
	filter := func(options metav1.ListOptions) metav1.ListOptions {
		options.LabelSelector = manifest.LabelApplication
		return options
	}
	if needsStatus(w.kind.Group, w.kind.Kind) {
		client := o.dynamic.Resource(r.GroupVersionResource).Namespace(w.kind.namespace)
		return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return client.List(watchList(ctx), filter(options))
			},
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				return client.Watch(watchList(ctx), filter(options))
			},
		}, o.dynamic)
	}
	client := o.metadata.Resource(r.GroupVersionResource).Namespace(w.kind.namespace)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return client.List(watchList(ctx), filter(options))
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return client.Watch(watchList(ctx), filter(options))
		},
	}, o.metadata)
}

// quiet is a logger that says nothing: what a reflector can't do it tries
// again, and what that costs is said by the work that waits for it.
func quiet() *klog.Logger { return new(klog.Logger) }
