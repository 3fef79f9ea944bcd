// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"fmt"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// BenchmarkSurvey is what a deletion pays, among 1,000 applications, to know
// that none of them claims what is deleted.
func BenchmarkSurvey(b *testing.B) {
	const others = 1000
	s := bustest.Start(b)
	watcher, conn := s.Connect(b, "watcher"), s.Connect(b, "applier-local")
	f := &fleetList{entries: map[string]events.FleetEntry{}}
	a := &applier{cluster: "local", bus: lookups{conn}, applications: map[string]*application{}}
	mine := claims{line: line{"mono", "refs/heads/main"}, commit: "c"}
	for i := range others {
		name := fmt.Sprintf("app-%04d", i)
		f.entries[name] = events.FleetEntry{Application: name, DeclarationDigest: "decl"}
		es, err := watcher.Publish(b.Context(), events.Cause{ID: name}, events.Draft{
			Address: events.Address{Cluster: "local", Application: name},
			Data: &events.CommitObserved{
				Revision:    events.Revision{Commit: "c", Ref: "refs/heads/main"},
				Declaration: events.Declaration{Application: name, Cluster: "local"}, DeclarationDigest: "decl",
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		a.application(name).claims = claims{keys: map[string]bool{}, at: order(es[0]), line: mine.line, commit: "c", declaration: "decl"}
		mine.at = order(es[0])
	}
	run := func(name string, of claims, each func()) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				each()
				if open, _, err := a.survey(b.Context(), f, "", of, 0); err != nil || len(open) > 0 {
					b.Fatal(open, err)
				}
			}
		})
	}
	run("one repository", mine, func() {})
	run("a repository each", claims{}, func() {
		for _, app := range a.applications {
			app.claims.checked = 0
		}
	})
	run("a repository each, asked before", claims{}, func() {})
}
