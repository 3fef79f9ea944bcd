// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// inventoryWatch keeps the inventories up to date. It is a
// cache.ReflectorStore.
type inventoryWatch struct {
	*applier
	synced chan struct{}
	away   atomic.Bool // the API server didn't take the last list or watch
	told   atomic.Bool // that they can't be read
}

func newInventoryWatch(a *applier) *inventoryWatch {
	return &inventoryWatch{applier: a, synced: make(chan struct{})}
}

func (w *inventoryWatch) run(ctx context.Context) {
	client := w.inventories.client.ConfigMaps(systemNamespace)
	source := listWatch(client, &w.inventories.past, labelInventory,
		func(ctx context.Context, o metav1.ListOptions) (*corev1.ConfigMapList, error) {
			list, err := client.List(ctx, o)
			w.answered(ctx, err)
			return list, err
		},
		func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			changes, err := client.Watch(ctx, o)
			w.answered(ctx, err)
			return changes, err
		})
	var reflector *cache.Reflector
	life := 0
	wait.UntilWithContext(klog.NewContext(ctx, *quiet()), func(ctx context.Context) {
		ctx, end := context.WithCancel(ctx)
		defer end()
		if now := w.inventories.begin(end); reflector == nil || now != life {
			life = now
			reflector = cache.NewReflectorWithOptions(source, nil, w, cache.ReflectorOptions{
				Logger: quiet(), Name: "applier inventories", TypeDescription: "inventories",
			}) // one remembers where it was
		}
		w.tell(ctx, reflector.ListAndWatchWithContext(ctx))
	}, watchAgain)
}

// answered keeps how a list or watch ended. A reflector doesn't return while its
// connections are refused, so that an API server that isn't there at the start
// has to be told of here.
func (w *inventoryWatch) answered(ctx context.Context, err error) {
	w.away.Store(err != nil)
	select {
	case <-w.synced:
		return // whoever asks for something says what came of it
	default:
	}
	if utilnet.IsConnectionRefused(err) {
		w.tell(ctx, err)
	}
}

// tell says once why the inventories can't be read.
func (w *inventoryWatch) tell(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil && w.told.CompareAndSwap(false, true) {
		w.log.Warn("the inventories can't be read: trying until they can", "error", err)
	}
}

// Add is called by the reflector for an inventory that appears.
func (w *inventoryWatch) Add(obj any) error { return w.Update(obj) }

// Update is called by the reflector for an inventory that changes.
func (w *inventoryWatch) Update(obj any) error {
	if c, ok := obj.(*corev1.ConfigMap); ok && !w.inventories.has(c) {
		w.inventories.keep(c.Name, w.decode(c))
	}
	return nil
}

func (w *inventoryWatch) decode(c *corev1.ConfigMap) stored {
	e := decodeInventory(c)
	if e.broken != nil {
		w.log.Warn("an inventory can't be read: it counts as lost", "inventory", c.Name, "error", e.broken)
	}
	return e
}

// Delete is called by the reflector for an inventory that is gone.
func (w *inventoryWatch) Delete(obj any) error {
	if c, ok := obj.(*corev1.ConfigMap); ok {
		w.inventories.forget(c.Name, string(c.UID))
	}
	return nil
}

// Replace is called by the reflector with a whole list.
func (w *inventoryWatch) Replace(list []any, resourceVersion string) error {
	listed := make(map[string]stored, len(list))
	for _, obj := range list {
		if c, ok := obj.(*corev1.ConfigMap); ok {
			listed[c.Name] = w.decode(c)
		}
	}
	back, found := w.inventories.replace(listed, resourceVersion)
	select {
	case <-w.synced:
	default:
		close(w.synced)
	}
	switch {
	case found:
		w.rewound()
	case back:
		w.relisted()
	}
	return nil
}

// Resync is called by the reflector on a timer that we don't set.
func (w *inventoryWatch) Resync() error { return nil }
