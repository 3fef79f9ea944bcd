// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
	store "github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/explain"
)

// fleetOf reads of every application its newest bundle's list of objects, and
// nothing of its history.
func fleetOf(ctx context.Context, conn *bus.Conn) ([]*explain.Application, error) {
	records, err := conn.Latest(ctx,
		"plumbline.v1.commit.observed.*.*", "plumbline.v1.manifests.*.*.*", "plumbline.v1.application.withdrawn.*.*")
	if err != nil {
		return nil, err
	}
	found := map[events.Address]*explain.Application{}
	var all []*explain.Application
	for _, r := range records {
		if r.Err != nil {
			continue
		}
		at := events.Address{Cluster: r.Event.Cluster, Application: r.Event.Application}
		a, ok := found[at]
		if !ok {
			a = &explain.Application{Address: at}
			found[at], all = a, append(all, a)
		}
		a.Add(r.Event)
	}
	for _, a := range all {
		m := a.Manifests()
		if m == nil || a.Withdrawn() || m.Objects.Blob == nil {
			continue
		}
		list, err := listOf[events.DeclaredObject](ctx, conn, *m.Objects.Blob)
		if errors.Is(err, store.ErrMissing) {
			continue // replaced meanwhile, or being sent again
		}
		if err != nil {
			return nil, fmt.Errorf("objects of %s: %w", a.Application, err)
		}
		a.List(list)
	}
	slices.SortFunc(all, func(a, b *explain.Application) int {
		return strings.Compare(a.Cluster+"\x00"+a.Application, b.Cluster+"\x00"+b.Application)
	})
	return all, nil
}

// maxLists is how many lists of applied objects that did not fit into their
// events are read of one application: the newest.
const maxLists = 32

// historyOf adds what the log tells of the application's past.
func historyOf(ctx context.Context, conn *bus.Conn, a *explain.Application) error {
	at := "." + events.EncodeToken(a.Cluster) + "." + events.EncodeToken(a.Application)
	var applied []events.Event
	add := func(r bus.Record) error {
		if r.Err != nil {
			return nil
		}
		if _, ok := r.Event.Data.(*events.ConvergenceApplied); ok {
			applied = append(applied, r.Event)
			return nil
		}
		a.Add(r.Event)
		return nil
	}
	for _, filter := range []string{"plumbline.v1.commit.observed" + at, "plumbline.v1.convergence.applied" + at, "plumbline.v1.divergence.*" + at + ".*"} {
		if _, err := conn.Read(ctx, bus.Range{Filter: filter}, add); err != nil {
			return err
		}
	}
	lists := 0
	for _, e := range applied {
		if e.Data.(*events.ConvergenceApplied).Objects.Blob != nil {
			lists++
		}
	}
	for _, e := range applied {
		p := e.Data.(*events.ConvergenceApplied)
		if p.Objects.Blob == nil {
			a.Add(e)
			continue
		}
		if lists--; lists >= maxLists {
			continue
		}
		list, err := listOf[events.AppliedObject](ctx, conn, *p.Objects.Blob)
		if errors.Is(err, store.ErrMissing) {
			continue
		}
		if err != nil {
			return fmt.Errorf("what was applied of %s: %w", a.Application, err)
		}
		a.AddApplied(e, list)
	}
	return nil
}

func listOf[T any](ctx context.Context, conn *bus.Conn, at events.Blob) ([]T, error) {
	body, err := conn.Blobs().Get(ctx, at)
	if err != nil {
		return nil, err
	}
	var list []T
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("read the list %s: %w", at.Name, err)
	}
	return list, nil
}
