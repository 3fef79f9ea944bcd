// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fleet"
	"github.com/plumbline-dev/plumbline/test/seed"
)

// FuzzParse: whatever a file holds, reading it ends, is repeatable, and every
// rejection can be published.
func FuzzParse(f *testing.F) {
	archives, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(archives) == 0 {
		f.Fatalf("no seeds (%v)", err)
	}
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Data, false)
		}
	}
	seed.Each(f, func(file seed.File) { f.Add(file.Data, strings.HasSuffix(file.Name, ".json")) }, "fleet")
	f.Add([]byte(`{"apiVersion":"plumbline.dev\/v1alpha1"}`), true)
	f.Fuzz(func(t *testing.T, data []byte, json bool) {
		name := "f.yaml"
		if json {
			name = "f.json"
		}
		in := []fleet.File{{Path: name, Data: data}}
		start := time.Now()
		var first fleet.Result
		if took := processor(t, func() { first = fleet.Parse(in) }); took > 5*time.Second {
			t.Errorf("%d bytes took %s of processor time", len(data), took)
		}
		if diff := cmp.Diff(first.Rejections, fleet.Parse(in).Rejections); diff != "" {
			t.Errorf("reads it otherwise the second time:\n%s", diff)
		}
		state := fleet.Merge(fleet.State{}, first, "")
		for _, r := range state.Rejections {
			if len(r.Problems) == 0 {
				t.Errorf("rejected for nothing: %+v", r)
			}
			for _, p := range r.Problems {
				if p.Reason == "" {
					t.Errorf("without a reason: %+v", p)
				}
			}
			typ := events.TypeNamed("fleet.rejected")
			_, _, err := events.Encode(events.Event{
				ID: "i", Source: events.Source("watcher", ""), Type: typ, Time: start,
				Address: events.Address{Key: r.Key()}, Data: r.Payload("c0ffee"),
			})
			if err != nil {
				t.Errorf("can't be published: %v", err)
			}
		}
		for _, e := range state.Applications {
			if e.Declaration != nil {
				fleet.Digest(*e.Declaration)
			}
		}
		state.Lists()
	})
}
