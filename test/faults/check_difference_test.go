// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"testing"
	"time"
)

const edited = "/ConfigMap/ns/cm-0"

// stand has the edit of an object stand for so long, told of by events, and be
// put right.
func (t *tale) stand(long time.Duration, says ...Event) {
	since := t.now
	t.edit(edited, "hand-1")
	for _, e := range says {
		e.Key, e.Since, e.Objects = "k", since, []string{edited}
		if e.Type != "divergence.detected" {
			e.After = long
			t.now = since.Add(long)
		}
		if e.Type == "divergence.resolved" {
			e.Persisted = len(says) > 2
			t.write(t.dir.Objects[0], "digest of one")
		}
		t.event(e)
	}
	if len(says) == 0 {
		t.now = since.Add(long)
		t.write(t.dir.Objects[0], "digest of one")
	}
}

var (
	detected  = Event{Type: "divergence.detected"}
	persisted = Event{Type: "divergence.persisted"}
	resolved  = Event{Type: "divergence.resolved"}
)

// lifted ends the fault of a tale, and its traces.
func (t *tale) lifted() {
	t.add(Record{Lifted: &FaultRun{Round: 1, Row: "F3", Name: "kill-applier"}})
	t.now = t.now.Add(time.Minute)
}

// What differs for long is told of, and what can't be certain is left out.
func TestGoodDifferences(t *testing.T) {
	good(t, map[string]func(*tale){
		"an edit that is alerted": func(t *tale) {
			t.lifted()
			t.stand(time.Minute, detected, persisted, resolved)
		},
		"an edit that is healed at once": func(t *tale) {
			t.lifted()
			t.stand(time.Second)
		},
		"an edit during a fault": func(t *tale) { t.stand(time.Minute) },
		"an edit that stands as a fault is lifted": func(t *tale) {
			t.edit(edited, "hand-1")
			t.now = t.now.Add(time.Minute)
			t.add(Record{Lifted: &FaultRun{Round: 1, Row: "F3", Name: "kill-applier"}})
			t.now = t.now.Add(calmAfter + alertSlack - time.Second)
			t.write(t.dir.Objects[0], "digest of one")
		},
		"an edit as clocks are wrong": func(t *tale) {
			t.lifted()
			t.rest()
			t.add(Record{Begun: &FaultRun{Round: 2, Row: "F31", Name: clockRates}})
			t.lifted()
			t.stand(time.Minute)
		},
		"an edit beside a newer commit that is on its way": func(t *tale) {
			t.lifted()
			t.edit(edited, "hand-1")
			t.push("c2", t.declare(7, "one"))
			t.now = t.now.Add(time.Minute)
			t.write(t.dir.Objects[0], "digest of one")
			t.observe("c2")
			t.widen(t.declare(7, "one"))
			t.catchUp("c2")
		},
		"an edit of what stays as it is, as the newest commit can't be rendered": func(t *tale) {
			t.lifted()
			t.failRender()
			t.stand(time.Minute)
		},
		"an edit of what is wholly applied only later": func(t *tale) {
			t.lifted()
			t.fence.Applied = false
			t.keep()
			t.stand(time.Minute)
			t.narrow()
		},
		"an edit and another life of the log": func(t *tale) {
			t.lifted()
			t.edit(edited, "hand-1")
			t.turn("e2")
			t.now = t.now.Add(time.Minute)
			t.write(t.dir.Objects[0], "digest of one")
			t.observe("c1")
			t.keep()
			t.event(Event{Type: "convergence.applied", Commit: "c1"})
		},
		"an edit and a cluster that is put back": func(t *tale) {
			t.lifted()
			t.edit(edited, "hand-1")
			t.now = t.now.Add(time.Minute)
			t.add(Record{Relist: true})
			t.write(t.dir.Objects[0], "digest of one")
			t.keep()
		},
		"an edit that is only seen to be over in a list": func(t *tale) {
			t.lifted()
			t.edit(edited, "hand-1")
			t.now = t.now.Add(time.Minute)
			t.version++
			s := t.live[edited]
			s.Version, s.Listed = t.version, true
			t.live[edited] = s
			t.add(Record{Object: &s})
		},
		"an edit of what the auditor may not look at": func(t *tale) {
			t.lifted()
			t.event(Event{Type: "audit.limited"})
			t.stand(time.Minute)
		},
		"a namespace that is slow to come back": func(t *tale) {
			t.add(Record{Hand: &HandDone{Hand: Hand{Namespace: "ns"}, Whole: true}})
			t.remove(edited)
			t.lifted()
			t.now = t.now.Add(time.Minute)
			t.write(t.dir.Objects[0], "digest of one")
		},
	})
}

// What differed for long, and nobody was told, is found.
func TestPlantedDifferences(t *testing.T) {
	planted(t, map[string]func(*tale) string{
		"an edit that nobody mentions": func(t *tale) string {
			t.lifted()
			t.stand(time.Minute)
			return "nobody said so"
		},
		"an edit that is detected, and never alerted": func(t *tale) string {
			t.lifted()
			t.edit(edited, "hand-1")
			e := detected
			e.Key, e.Since, e.Objects = "k", t.now, []string{edited}
			t.event(e)
			t.now = t.now.Add(time.Minute)
			t.write(t.dir.Objects[0], "digest of one")
			e.Type, e.After = "divergence.resolved", time.Second // as it says
			t.event(e)
			return "nobody was alerted"
		},
		"another object that is alerted": func(t *tale) string {
			t.lifted()
			for _, e := range []Event{detected, persisted, resolved} {
				e.Key, e.Since, e.Objects, e.After, e.Persisted = "k", t.now, []string{"/ConfigMap/ns/cm-1"}, time.Minute, true
				t.event(e)
			}
			t.stand(time.Minute)
			return "nobody said so"
		},
		"a deletion by hand that nobody mentions": func(t *tale) string {
			t.lifted()
			t.add(Record{Hand: &HandDone{Deleted: true, UID: t.live[edited].UID}})
			t.remove(edited)
			t.now = t.now.Add(time.Minute)
			t.write(t.dir.Objects[0], "digest of one")
			return "it was gone"
		},
		"an edit that stands long after a fault was lifted": func(t *tale) string {
			t.edit(edited, "hand-1")
			t.lifted()
			t.write(t.dir.Objects[0], "digest of one")
			return "nobody said so"
		},
	})
}
