// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"maps"
	"slices"
	"testing"
)

// comeAndGo has a namespace taken away with all that is in it, or only one kind
// of it, and be there again.
func (t *tale) comeAndGo(kind string) {
	t.add(Record{Begun: &FaultRun{Round: 2, Row: "F22", Name: "namespace-terminating"}})
	t.add(Record{Hand: &HandDone{Hand: Hand{Kind: kind, Namespace: "ns"}, Whole: true}})
	for _, key := range slices.Sorted(maps.Keys(t.live)) {
		t.remove(key)
	}
	t.add(Record{Lifted: &FaultRun{Round: 2, Row: "F22", Name: "namespace-terminating"}})
	for _, o := range t.dir.Objects {
		t.write(o, "digest of one")
	}
	t.narrow()
}

// What goes with its namespace or its kind is nobody's doing. What is there
// again is judged as ever, and counted.
func TestDeletesBesideAnEnd(t *testing.T) {
	good(t, map[string]func(*tale){
		"a namespace that came back, and a prune in it": func(t *tale) {
			t.comeAndGo("")
			t.converge("c2", t.declare(5, "one"))
		},
		"an object that was made as the end of its namespace began": func(t *tale) {
			t.add(Record{Begun: &FaultRun{Round: 2, Row: "F22", Name: "namespace-terminating"}})
			t.add(Record{Hand: &HandDone{Hand: Hand{Namespace: "ns"}, Whole: true}})
			t.converge("c2", t.declare(7, "one"))
			t.remove("/ConfigMap/ns/cm-6")
			t.add(Record{Lifted: &FaultRun{Round: 2, Row: "F22", Name: "namespace-terminating"}})
			t.write(t.dir.Objects[6], "digest of one")
			t.narrow()
		},
	})
	planted(t, map[string]func(*tale) string{
		"a delete of what is declared, in a namespace that came back": func(t *tale) string {
			t.comeAndGo("")
			t.remove("/ConfigMap/ns/cm-0")
			t.write(t.dir.Objects[0], "digest of one")
			return "I4"
		},
		"a delete of what is declared, of a kind that came back": func(t *tale) string {
			t.comeAndGo("ConfigMap")
			t.remove("/ConfigMap/ns/cm-0")
			t.write(t.dir.Objects[0], "digest of one")
			return "I4"
		},
		"a prune past the guard, in a namespace that came back": func(t *tale) string {
			t.comeAndGo("")
			t.converge("c2", t.declare(1, "one"))
			return "objects were deleted at once"
		},
	})
	story := newTale()
	story.comeAndGo("")
	before := Judge(story.history).Deletes
	story.converge("c2", story.declare(4, "one"))
	if got := Judge(story.history).Deletes.Judged - before.Judged; got != 2 || before.Judged != 0 {
		t.Errorf("%d deletions are judged, and %d before them, want 2 and 0", got, before.Judged)
	}
}
