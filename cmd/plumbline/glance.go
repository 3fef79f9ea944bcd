// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/cluster"
	"github.com/plumbline-dev/plumbline/internal/compare"
	"github.com/plumbline-dev/plumbline/internal/explain"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// presence is what a cluster tells of an object.
type presence struct {
	Server  string    `json:"server"`
	Exists  bool      `json:"exists"`
	Created time.Time `json:"created,omitzero"`
	// Application and Digest are what Plumbline wrote on it: the application
	// that owns it and the object digest that it was applied in.
	Application string `json:"application,omitempty"`
	Digest      string `json:"digest,omitempty"`
	// Managers have written to it, the last one first; Creator is the one whose
	// entry is as old as the object: the API server records no more.
	Managers []events.Writer `json:"managers,omitempty"`
	Creator  string          `json:"creator,omitempty"`
	// Owners are the objects that it belongs to (ownerReferences), the nearest
	// first; Declares is the application that declares the last of them.
	Owners   []string `json:"owners,omitempty"`
	Declares string   `json:"declares,omitempty"`
}

// glance is a presence and the body that it was read from.
type glance struct {
	presence
	body *unstructured.Unstructured
}

// observe reads one object and what it belongs to.
func observe(ctx context.Context, reader *cluster.Reader, o events.Object, all []*explain.Application) (*glance, error) {
	s := &glance{presence: presence{Server: reader.Server()}}
	live, err := reader.Get(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("ask the cluster: %w", err)
	}
	if live == nil {
		return s, nil
	}
	s.body, s.Exists, s.Created = live, true, live.GetCreationTimestamp().UTC()
	s.Application = live.GetLabels()[manifest.LabelApplication]
	s.Digest = live.GetAnnotations()[manifest.AnnotationObject]
	for _, owner := range compare.OwnersOf(live.GetManagedFields()) {
		s.Managers = append(s.Managers, owner.Writer)
		if s.Creator == "" && owner.Time.Equal(s.Created) {
			s.Creator = owner.Manager
		}
	}
	slices.SortStableFunc(s.Managers, func(a, b events.Writer) int { return b.Time.Compare(a.Time) })
	s.climb(ctx, reader, live, all)
	return s, nil
}

// maxOwners bounds how far up an object's owners are followed.
const maxOwners = 5

// climb follows the owner references to what made the object. Where an owner
// can't be read it stops: the reference alone is told.
func (s *glance) climb(ctx context.Context, reader *cluster.Reader, from *unstructured.Unstructured, all []*explain.Application) {
	for range maxOwners {
		ref := controllerOf(from)
		if ref == nil {
			return
		}
		gv, err := schema.ParseGroupVersion(ref.APIVersion)
		if err != nil {
			return
		}
		owner, err := reader.Resolve(events.Object{Group: gv.Group, Version: gv.Version, Kind: ref.Kind, Name: ref.Name}, from.GetNamespace())
		if err != nil {
			return
		}
		s.Owners = append(s.Owners, owner.String())
		if declared := explain.Declarations(owner, all); len(declared) > 0 {
			s.Declares = declared[0].Application
			return
		}
		if from, err = reader.Get(ctx, owner); err != nil || from == nil {
			return
		}
	}
}

// controllerOf is the owner that manages an object, or else its first.
func controllerOf(o *unstructured.Unstructured) *metav1.OwnerReference {
	if ref := metav1.GetControllerOf(o); ref != nil {
		return ref
	}
	if refs := o.GetOwnerReferences(); len(refs) > 0 {
		return &refs[0]
	}
	return nil
}

// writerText names a writer as the API server recorded it.
func writerText(w events.Writer) string {
	text := w.Manager + " (" + w.Operation
	if w.Subresource != "" {
		text += " of " + w.Subresource
	}
	text += ")"
	if !w.Time.IsZero() {
		text += " at " + stampText(w.Time)
	}
	return text
}

// stampText is a time as people compare it with a clock.
func stampText(t time.Time) string {
	return strings.TrimSuffix(t.Local().Format("2006-01-02 15:04:05 MST"), " ")
}
