// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	watchtools "k8s.io/client-go/tools/watch"
)

// resources are the kinds of an application, as they are asked for.
var resources = map[string]schema.GroupVersionResource{
	"configmap":      {Version: "v1", Resource: "configmaps"},
	"serviceaccount": {Version: "v1", Resource: "serviceaccounts"},
	"service":        {Version: "v1", Resource: "services"},
	"deployment":     {Group: "apps", Version: "v1", Resource: "deployments"},
}

// place is an object: its kind, namespace and name.
type place struct{ kind, namespace, name string }

// sight is a marker and when it was seen.
type sight struct {
	marker string
	at     time.Time
}

// observer watches, with one watch of metadata per kind, in protobuf, and no
// part in Plumbline, when each object gets which marker.
type observer struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	seen    map[place]sight
	err     error
	changed chan struct{} // closed and replaced with each change
}

func unlimited(kubeconfig, agent string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	config.QPS, config.UserAgent = -1, agent
	return config, nil
}

func observe(ctx context.Context, kubeconfig string) (*observer, error) {
	config, err := unlimited(kubeconfig, "bench-observer")
	if err != nil {
		return nil, err
	}
	client, err := metadata.NewForConfig(config) // protobuf where it can be had
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	o := &observer{cancel: cancel, seen: map[place]sight{}, changed: make(chan struct{})}
	for kind, resource := range resources {
		w, err := watchKind(ctx, client.Resource(resource))
		if err != nil {
			cancel()
			return nil, fmt.Errorf("observe %s: %w", kind, err)
		}
		o.done.Go(func() {
			for e := range w.ResultChan() {
				m, ok := e.Object.(*metav1.PartialObjectMetadata)
				if !ok {
					o.fail(fmt.Errorf("observe %s: %v", kind, e.Object))
					continue
				}
				o.note(place{kind, m.Namespace, m.Name}, m.Labels[labelMarker])
			}
			if ctx.Err() == nil {
				o.fail(fmt.Errorf("observe %s: the watch has ended", kind))
			}
		})
	}
	return o, nil
}

// watchKind watches what there will be of one kind. A watch that the API server
// ends, as it does with one that it finds slow, goes on where it was.
func watchKind(ctx context.Context, client metadata.ResourceInterface) (watch.Interface, error) {
	now, err := client.List(ctx, metav1.ListOptions{LabelSelector: labelBench, Limit: 1})
	if err != nil {
		return nil, err
	}
	return watchtools.NewRetryWatcherWithContext(ctx, now.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = labelBench
			return client.Watch(ctx, options)
		},
	})
}

func (o *observer) note(p place, marker string) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen[p].marker == marker {
		return
	}
	o.seen[p] = sight{marker, now}
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *observer) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
	close(o.changed)
	o.changed = make(chan struct{})
}

// wait waits until at least some of the places have the marker, and returns
// when each of those got it.
func (o *observer) wait(ctx context.Context, marker string, some int, places []place) ([]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		o.mu.Lock()
		var times []time.Time
		for _, p := range places {
			if s := o.seen[p]; s.marker == marker {
				times = append(times, s.at)
			}
		}
		changed, err := o.changed, o.err
		o.mu.Unlock()
		if err != nil || len(times) >= some {
			return times, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d objects were seen with the marker %s: %w", len(times), some, marker, ctx.Err())
		}
	}
}

// all waits until all of the places have the marker.
func (o *observer) all(ctx context.Context, marker string, places []place) ([]time.Time, error) {
	return o.wait(ctx, marker, len(places), places)
}

func (o *observer) stop() {
	o.cancel()
	o.done.Wait()
}

// placesOf are the objects of some kinds, one in each of n namespaces.
func placesOf(n int, name string, kinds ...string) []place {
	var places []place
	for i := range n {
		for _, kind := range kinds {
			places = append(places, place{kind, application(i), name})
		}
	}
	return places
}

// watch is closed with the next change.
func (o *observer) watch() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}
