// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// objectFaults are objects that can't be written, can't go, or don't stay.
var objectFaults = []Fault{
	{
		Row: "F22", Name: "finalizer-stuck", About: "an object that somebody deleted, and that a finalizer keeps; gone in the end, it is made anew", Alone: true, Weight: 2,
		Hold: Span{time.Second, 4 * time.Second}, Inject: stick,
	},
	{
		Row: "F23", Name: "immutable-field", About: "a field changed in Git that the API server lets nobody change: the rest is applied, and it is told", Alone: true, Weight: 2,
		Hold: Span{time.Second, 3 * time.Second},
		Shape: func(s *Script) {
			if app, r, ok := s.pick(); ok {
				fixed := func() Object {
					return Object{Kind: "ConfigMap", Name: app.Name + "-fixed", Fields: map[string]string{"immutable": "true", "data.a": s.next()}}
				}
				s.impossible(app, r, fixed(), fixed())
			}
		},
	},
	{
		Row: "F30", Name: "too-large", About: "an object of 1.6 MB, which the API server refuses: the rest is applied, and it is told", Alone: true, Weight: 1,
		Hold: Span{time.Second, 3 * time.Second},
		Shape: func(s *Script) {
			if app, r, ok := s.pick(); ok {
				s.impossible(app, r, Object{Kind: "ConfigMap", Name: app.Name + "-large", Fields: map[string]string{"data.a": s.next()}, Pad: 1600 << 10})
			}
		},
	},
	{
		Row: "F34", Name: "fighter", About: "somebody writes one of our fields twice a second", Alone: true, Weight: 2,
		Hold: Span{2 * time.Second, 4 * time.Second}, Inject: fight,
	},
}

// anyLive picks a ConfigMap of an application's as it was last seen.
func (w *World) anyLive(rng *rand.Rand) (State, bool) {
	w.record.mu.Lock()
	defer w.record.mu.Unlock()
	var all []State
	for _, key := range slices.Sorted(maps.Keys(w.record.live)) {
		s := w.record.live[key]
		if w.victim != nil && s.App != w.victim.Name {
			continue
		}
		if s.App != "" && s.kind() == "ConfigMap" && !s.Deleting && s.Fields["immutable"] == "" {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return State{}, false
	}
	return all[rng.IntN(len(all))], true
}

func (s State) hand() Hand {
	return Hand{App: s.App, Kind: s.kind(), Namespace: s.namespace(), Name: s.name()}
}

// stick gives an object a finalizer and deletes it; lifted, the finalizer goes.
func stick(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
	s, ok := w.anyLive(rng)
	if !ok {
		w.Missed("there is no object to do it to")
		return nil, nil
	}
	client := w.Kube.Dynamic.Resource(kinds["ConfigMap"].resource).Namespace(s.namespace())
	set := func(ctx context.Context, finalizers string) error {
		patch := fmt.Appendf(nil, `{"metadata":{"finalizers":[%s]}}`, finalizers)
		_, err := client.Patch(ctx, s.name(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "keeper"})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	if err := set(ctx, `"example.com/keep"`); err != nil {
		return nil, err
	}
	w.hand(ctx, OpRemove, s.hand())
	return func(ctx context.Context) error { return set(ctx, "") }, nil
}

// fight writes a field over and over.
func fight(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
	s, ok := w.anyLive(rng)
	if !ok {
		w.Missed("there is no object to do it to")
		return nil, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; pause(ctx, 500*time.Millisecond) == nil; n++ {
			h := s.hand()
			h.Field, h.Value = "data.a", fmt.Sprint(handValue, "fight-", n)
			w.hand(ctx, OpEdit, h)
		}
	}()
	return func(ctx context.Context) error {
		cancel()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return errors.Join(errors.New("the fight goes on"), ctx.Err())
		}
	}, nil
}
