// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// hurry bounds what the workload asks of parts that may be out.
const hurry = 2 * time.Second

// play plays steps in order.
func (w *World) play(ctx context.Context, steps []Step) error {
	for _, step := range steps {
		if err := w.step(ctx, step); err != nil {
			return fmt.Errorf("step %d (%s): %w", step.Number, step.About, err)
		}
		if err := pause(ctx, step.Pause); err != nil {
			return err
		}
	}
	return nil
}

// pause waits between two things that people do.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (w *World) step(ctx context.Context, step Step) error {
	if !step.pushes() {
		w.hand(ctx, step.Op, *step.Hand)
		return nil
	}
	if err := w.push(step); err != nil {
		return err
	}
	if step.Ring {
		go w.ring(ctx, step.Repository) // who rings waits for nobody
	}
	return nil
}

// push changes a ref, and records it first: nobody has seen it before.
func (w *World) push(step Step) error {
	change := &RefChange{Step: step.Number, Op: step.Op, Repository: step.Repository, Branch: step.Branch, Apps: step.Apps, Probe: step.Probe}
	repo := w.repos[step.Repository]
	if step.Op == OpFleet {
		return w.pushFleet(step, change)
	}
	if step.Tip == nil {
		w.record.add(Record{Ref: change})
		return repo.remove(step.Branch)
	}
	hash, err := repo.commit(step.Tip)
	if err != nil {
		return err
	}
	change.Commit, change.Dirs = hash.String(), step.Tip.Dirs
	w.record.add(Record{Ref: change})
	return repo.point(step.Branch, hash)
}

func (w *World) pushFleet(step Step, change *RefChange) error {
	if w.fleet == nil {
		w.fleet = newRepository(w.Fleet)
	}
	var parents []plumbing.Hash
	if !w.fleetTip.IsZero() {
		parents = append(parents, w.fleetTip)
	}
	hash, err := w.fleet.write(w.declaration(step.Apps), step.About, step.Number, parents)
	if err != nil {
		return err
	}
	w.fleetTip = hash
	change.Commit = hash.String()
	w.record.add(Record{Ref: change})
	return w.fleet.point(step.Branch, hash)
}

// ring rings a repository's webhook. It may be that nobody hears it: the poll
// is there for that.
func (w *World) ring(ctx context.Context, repository string) {
	ctx, cancel := context.WithTimeout(ctx, hurry)
	defer cancel()
	repo := w.Fleet
	if r := w.repos[repository]; r != nil {
		repo = r.Repo
	}
	_ = w.Ring(ctx, repo) // the watcher may be down
}

// hand does in the cluster what a person would. What can't be done, since the
// object or the API server is away, isn't.
func (w *World) hand(ctx context.Context, op Op, h Hand) {
	ctx, cancel := context.WithTimeout(ctx, hurry)
	defer cancel()
	client := w.Kube.Dynamic.Resource(kinds[h.Kind].resource).Namespace(h.Namespace)
	var err error
	done := HandDone{Hand: h}
	switch op {
	case OpRemove:
		key := Object{Kind: h.Kind, Name: h.Name}.key(h.Namespace)
		uid := types.UID(w.record.state(key).UID)
		if uid == "" {
			return
		}
		done.UID, done.Deleted = string(uid), true
		err = client.Delete(ctx, h.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	case OpTake:
		force := true
		body := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": h.Kind, "metadata": map[string]any{"name": h.Name, "namespace": h.Namespace},
			"data": map[string]any{"a": h.Value},
		}}
		_, err = client.Patch(ctx, h.Name, types.ApplyPatchType, must(json.Marshal(body)), metav1.PatchOptions{FieldManager: "other-tool", Force: &force})
	default:
		_, err = client.Patch(ctx, h.Name, types.MergePatchType, h.patch(), metav1.PatchOptions{FieldManager: "kubectl-edit"})
	}
	// What was not answered in time may have been done all the same.
	if err == nil || !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && !apierrors.IsForbidden(err) {
		w.record.add(Record{Hand: &done})
	}
}

// patch is the JSON merge patch of an edit.
func (h Hand) patch() []byte {
	var value any = h.Value
	if h.Value == "" {
		value = nil
	}
	var n int
	if _, err := fmt.Sscan(h.Value, &n); err == nil && h.Kind == "Deployment" {
		value = n
	}
	top, field := "data", h.Field
	for _, prefix := range []string{"data.", "spec."} {
		if len(field) > len(prefix) && field[:len(prefix)] == prefix {
			top, field = prefix[:len(prefix)-1], field[len(prefix):]
		}
	}
	if h.Kind == "Secret" {
		top = "stringData"
	}
	return must(json.Marshal(map[string]any{top: map[string]any{field: value}}))
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err) // maps of strings encode
	}
	return b
}

// state is an object as it was last seen; without a UID it isn't there.
func (r *Recorder) state(key string) State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live[key]
}
