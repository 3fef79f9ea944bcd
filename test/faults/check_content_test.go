// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"maps"
	"slices"
	"testing"
)

// late is a write by the revision before, which was under way when the fence
// went up.
func (t *tale) late(commit string, dir, before *Dir, digest string) {
	t.push(commit, dir)
	t.observe(commit)
	t.widen(dir)
	t.write(before.Objects[0], digest)
}

// catchUp writes what a folder declares and the cluster lacks, and says so.
func (t *tale) catchUp(commit string) {
	for _, o := range t.dir.Objects {
		if digest := "digest of " + o.Fields["data.a"]; t.live[o.key("ns")].Digest != digest {
			t.write(o, digest)
		}
	}
	for _, key := range t.extra() {
		t.remove(key)
	}
	t.narrow()
	t.event(Event{Type: "convergence.applied", Commit: commit})
}

// What is written goes up as the fences do, whatever comes between.
func TestGoodWrites(t *testing.T) {
	good(t, map[string]func(*tale){
		"a write that was under way when the fence went up": func(t *tale) {
			t.push("c2", t.declare(6, "two"))
			t.observe("c2")
			t.widen(t.declare(6, "two"))
			t.late("c3", t.declare(6, "three"), t.declare(6, "two"), "digest of two")
			t.catchUp("c3")
		},
		"an object that is made by a revision after whose fence it is pruned": func(t *tale) {
			t.push("c2", t.declare(7, "one"))
			t.observe("c2")
			t.widen(t.declare(7, "one"))
			seven := t.dir
			t.push("c3", t.declare(6, "one"))
			t.observe("c3")
			t.widen(t.declare(6, "one"))
			t.write(seven.Objects[6], "digest of one")
			t.catchUp("c3")
		},
		"there and back, and there again": func(t *tale) {
			t.converge("c2", t.declare(6, "two"))
			t.converge("c1", t.declare(6, "one"))
			t.converge("c2", t.declare(6, "two"))
			t.converge("c1", t.declare(6, "one"))
		},
		"an edit by hand, healed": func(t *tale) {
			t.converge("c2", t.declare(6, "two"))
			t.edit("/ConfigMap/ns/cm-0", "hand-1")
			t.write(t.dir.Objects[0], "digest of two")
		},
		"a deletion by hand of what the next revision gives up": func(t *tale) {
			s := t.live["/ConfigMap/ns/cm-5"]
			six := t.dir.Objects[5]
			t.push("c2", t.declare(5, "one"))
			t.observe("c2")
			t.widen(t.declare(5, "one"))
			t.add(Record{Hand: &HandDone{Deleted: true, UID: s.UID}})
			t.remove(s.Key)
			t.write(six, "digest of one") // its heal was under way
			t.catchUp("c2")
		},
		"a convergence that is gone on with": func(t *tale) {
			t.push("c2", t.declare(6, "two"))
			t.observe("c2")
			t.widen(t.declare(6, "two"))
			for _, o := range t.dir.Objects[:3] {
				t.write(o, "digest of two")
			}
			t.keep() // by the applier that was started again
			t.catchUp("c2")
		},
		"a life of the log in which an older commit is in force again": func(t *tale) {
			t.converge("c2", t.declare(6, "two"))
			t.turn("e2")
			t.converge("c1", t.declare(6, "one"))
			t.converge("c2", t.declare(6, "two"))
		},
		"a cluster that was put back": func(t *tale) {
			back := []State{}
			for _, key := range slices.Sorted(maps.Keys(t.live)) {
				back = append(back, t.live[key])
			}
			old := t.fence
			t.converge("c2", t.declare(6, "two"))
			t.add(Record{Relist: true})
			now := t.fence
			t.fence = old
			t.keep()
			t.fence = now
			for _, s := range back {
				t.version++
				s.Version, s.Listed = t.version, true
				t.live[s.Key] = s
				t.add(Record{Object: &s})
			}
			t.widen(t.dir)
			t.write(t.dir.Objects[0], "digest of two")
			t.catchUp("c2")
		},
		"an application that is withdrawn, and declared again as it was before": func(t *tale) {
			t.converge("c2", t.declare(6, "two"))
			fleet := func(apps ...App) {
				t.add(Record{Ref: &RefChange{Op: OpFleet, Repository: "fleet", Branch: "main", Commit: "fleet2", Apps: apps}})
			}
			fleet()
			for _, key := range slices.Sorted(maps.Keys(t.live)) {
				t.remove(key)
			}
			t.version++
			t.add(Record{Inventory: &Inventory{App: "shop", UID: "inv", Version: t.version, Gone: true}})
			t.event(Event{Type: "application.withdrawn"})
			t.entries = map[string]Entry{}
			fleet(told)
			t.converge("c1", t.declare(6, "one"))
		},
		"a watch of inventories that is behind that of objects": func(t *tale) {
			t.push("c2", t.declare(6, "two"))
			t.observe("c2")
			t.widen(t.declare(6, "two"))
			fence := t.history[len(t.history)-1]
			t.history = t.history[:len(t.history)-1]
			t.catchUp("c2")
			t.history = append(t.history, fence)
		},
	})
}

// A step back by one revision is found, and not only one by two.
func TestPlantedStepsBack(t *testing.T) {
	planted(t, map[string]func(*tale) string{
		"a step back by one": func(t *tale) string {
			t.converge("c2", t.declare(6, "two"))
			t.converge("c3", t.declare(6, "three"))
			t.write(t.declare(1, "two").Objects[0], "digest of two")
			t.write(t.declare(1, "three").Objects[0], "digest of three")
			return "I2"
		},
		"a step back by one in the middle of a convergence": func(t *tale) string {
			t.converge("c2", t.declare(6, "two"))
			t.push("c3", t.declare(6, "three"))
			t.observe("c3")
			t.widen(t.declare(6, "three"))
			t.write(t.dir.Objects[0], "digest of three")
			t.write(t.declare(1, "two").Objects[0], "digest of two")
			t.catchUp("c3")
			return "I2"
		},
		"what was pruned is made again by the revision before": func(t *tale) string {
			six := t.dir.Objects[5]
			t.converge("c2", t.declare(5, "one"))
			t.write(six, "digest of one")
			t.catchUp("c2")
			return "doesn't declare it"
		},
		"a step back by one across lives of the log": func(t *tale) string {
			t.converge("c2", t.declare(6, "two"))
			t.turn("e2")
			t.converge("c3", t.declare(6, "three"))
			t.write(t.declare(1, "two").Objects[0], "digest of two")
			t.catchUp("c3")
			return "I2"
		},
		"a step back by one after a watch of inventories that is behind": func(t *tale) string {
			t.push("c2", t.declare(6, "two"))
			t.observe("c2")
			t.widen(t.declare(6, "two"))
			fence := t.history[len(t.history)-1]
			t.history = t.history[:len(t.history)-1]
			t.catchUp("c2")
			t.write(t.declare(1, "one").Objects[0], "digest of one")
			t.write(t.dir.Objects[0], "digest of two")
			t.history = append(t.history, fence)
			return "I2"
		},
	})
}

// edit has a hand write a value.
func (t *tale) edit(key, value string) {
	t.version++
	s := withField(t.live[key], value)
	s.Version, s.Content, s.Ours, s.Others = t.version, value, "less", "kubectl"
	t.add(Record{Object: &s})
}
