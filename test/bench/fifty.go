// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/rig"
)

const (
	applications = 50
	namespace    = "fifty"
)

func application(i int) string { return fmt.Sprintf("app-%02d", i) }
func item(i int) string        { return fmt.Sprintf("item-%02d", i) }
func file(i int) string        { return fmt.Sprintf("apps/%02d/item.yaml", i) }

func configMap(i int, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {v: %q}\n", item(i), value)
}

// converge declares the applications and waits until all have converged.
func (b *bench) converge(ctx context.Context) error {
	sources := map[string]string{"README.md": "Fifty applications.\n"}
	var fleet strings.Builder
	fmt.Fprintf(&fleet, "apiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: fifty}\nspec: {url: %q}\n", b.repo.URL)
	for i := range applications {
		sources[file(i)] = configMap(i, "first")
		fmt.Fprintf(&fleet, "---\napiVersion: plumbline.dev/v1alpha1\nkind: Application\nmetadata: {name: %s}\nspec: {source: {repository: fifty, path: apps/%02d}, namespace: %s, createNamespace: true}\n", application(i), i, namespace)
	}
	if _, err := b.push(ctx, b.repo, gitserver.Commit{Files: sources}); err != nil {
		return err
	}
	mark := b.rig.Bus.Mark()
	pushed, err := b.push(ctx, b.rig.Fleet, gitserver.Commit{Files: map[string]string{"fleet.yaml": fleet.String()}})
	if err != nil {
		return err
	}
	last, err := b.all(ctx, mark, "convergence.completed")
	if err != nil {
		return err
	}
	fmt.Printf("first convergence of %d apps      %8s\n", applications, short(last.Sub(pushed)))
	return nil
}

// all waits for an event of each application and returns when the last came.
func (b *bench) all(ctx context.Context, mark int, name string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last time.Time
	for i := range applications {
		e, err := b.rig.Bus.Wait(ctx, mark, rig.Of(name, application(i)))
		if err != nil {
			return last, fmt.Errorf("no %s of %s: %w", name, application(i), err)
		}
		if e.At.After(last) {
			last = e.At
		}
	}
	return last, nil
}
