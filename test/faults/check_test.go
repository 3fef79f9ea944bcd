// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// tale writes histories by hand: one application of six ConfigMaps in one
// repository, another beside it.
type tale struct {
	history History
	now     time.Time
	version uint64
	stored  uint64
	live    map[string]State
	fence   Fence
	dir     *Dir
	entries map[string]Entry
	posted  []Message      // in Slack
	removed map[string]int // how often, by key: an object that is made anew has another uid
}

var told = App{Name: "shop", Repository: "repo", Branch: "main", Namespace: "ns", AlertAfter: 3 * time.Second}

func newTale() *tale {
	t := &tale{now: time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC), live: map[string]State{}, fence: Fence{Epoch: "e1"}, entries: map[string]Entry{}, removed: map[string]int{}}
	t.add(Record{Log: &Log{Epoch: "e1"}})
	t.add(Record{Ref: &RefChange{Op: OpFleet, Repository: "fleet", Branch: "main", Commit: "fleet1", Apps: []App{told}}})
	t.converge("c1", t.declare(6, "one"))
	t.rest()
	t.add(Record{Begun: &FaultRun{Round: 1, Row: "F3", Name: "kill-applier"}})
	return t
}

func (t *tale) add(r Record) {
	t.now = t.now.Add(100 * time.Millisecond)
	r.At = t.now
	t.history = append(t.history, r)
}

// declare is a folder of n ConfigMaps with a value.
func (t *tale) declare(n int, value string) *Dir {
	dir := &Dir{}
	for i := range n {
		dir.Objects = append(dir.Objects, Object{Kind: "ConfigMap", Name: fmt.Sprint("cm-", i), Fields: map[string]string{"data.a": value}})
	}
	return dir
}

// push pushes a commit.
func (t *tale) push(commit string, dir *Dir) {
	t.add(Record{Ref: &RefChange{Op: OpCommit, Repository: "repo", Branch: "main", Commit: commit, Dirs: map[string]*Dir{"shop": dir}}})
}

// event has the log tell of the newest revision.
func (t *tale) event(e Event) {
	t.stored++
	e.ID, e.Log, e.Stored, e.Time = fmt.Sprint("id-", t.stored), t.fence.Epoch, t.stored, t.now
	if e.App == "" {
		e.App = "shop"
	}
	if e.Epoch == "" {
		e.Epoch, e.Sequence = t.fence.Epoch, t.fence.Sequence
	}
	t.add(Record{Event: &e})
}

// converge tells a commit from its push until it is applied.
func (t *tale) converge(commit string, dir *Dir) {
	t.push(commit, dir)
	t.observe(commit)
	t.widen(dir)
	for _, o := range dir.Objects {
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

// deny has a commit withdraw the last object, and its deletion be denied; prune
// makes up for it.
func (t *tale) deny(says bool) {
	dir := t.declare(5, "one")
	t.push("c2", dir)
	t.observe("c2")
	t.widen(dir)
	t.add(Record{Denied: &Denial{App: "shop", Key: "/ConfigMap/ns/cm-5"}})
	if says {
		t.event(Event{Type: "convergence.failed", Commit: "c2", Objects: []string{"/ConfigMap/ns/cm-5"}})
	}
}

func (t *tale) prune() {
	t.remove("/ConfigMap/ns/cm-5")
	t.narrow()
	t.event(Event{Type: "convergence.applied", Commit: "c2"})
}

// turn begins another life of the log.
func (t *tale) turn(epoch string) {
	t.add(Record{Log: &Log{Epoch: epoch}})
	t.fence.Retired, t.fence.Epoch, t.stored = append([]string{t.fence.Epoch}, t.fence.Retired...), epoch, 0
}

// lift ends the fault of a tale; another one begins, which ends no applier.
func (t *tale) lift() {
	t.add(Record{Lifted: &FaultRun{Round: 1, Row: "F3", Name: "kill-applier"}})
	t.rest()
	t.add(Record{Begun: &FaultRun{Round: 2, Row: "F24", Name: "git-down"}})
}

// observe begins a revision.
func (t *tale) observe(commit string) {
	t.fence.Sequence = t.stored + 1
	t.event(Event{Type: "commit.observed", Commit: commit})
}

// widen raises the fence and takes a folder's objects into the inventory.
func (t *tale) widen(dir *Dir) {
	t.dir, t.fence.Applied = dir, false
	for _, o := range dir.Objects {
		if _, ok := t.entries[o.key("ns")]; !ok {
			t.entries[o.key("ns")] = Entry{}
		}
	}
	t.keep()
}

func (t *tale) keep() {
	t.version++
	t.add(Record{Inventory: &Inventory{App: "shop", UID: "inv", Version: t.version, Fence: t.fence, Entries: maps.Clone(t.entries)}})
}

func (t *tale) narrow() {
	t.fence.Applied = true
	t.entries = map[string]Entry{}
	for key := range t.live {
		t.entries[key] = Entry{UID: t.live[key].UID}
	}
	t.keep()
}

// write has Plumbline write an object.
func (t *tale) write(o Object, digest string) {
	t.version++
	key := o.key("ns")
	s := State{Key: key, UID: fmt.Sprint("uid ", t.removed[key], key), Version: t.version, App: "shop", Digest: digest, Fields: o.Fields, Content: digest, Ours: "ours", Others: "others"}
	t.live[s.Key] = s
	t.add(Record{Object: &s})
}

// extra are the objects that are live and not declared.
func (t *tale) extra() []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(t.live)) {
		if s := t.live[key]; t.dir.find(s.kind(), s.name()) == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// remove has Plumbline delete an object.
func (t *tale) remove(key string) {
	t.version++
	s := t.live[key]
	s.Version = t.version
	t.removed[key]++
	delete(t.live, key)
	t.add(Record{Gone: &s})
}

// rest writes down what is live.
func (t *tale) rest() {
	t.add(Record{Quiet: &Quiet{Live: slices.Collect(maps.Values(t.live))}})
}

// diverge tells a divergence, alerted and over after a time.
func (t *tale) diverge(after time.Duration, alerts, ends int, says bool) {
	since := t.now
	e := Event{Type: "divergence.detected", Key: "k", Since: since}
	t.event(e)
	t.now = since.Add(after)
	for range alerts {
		e.Type, e.After = "divergence.persisted", after
		t.event(e)
	}
	for range ends {
		e.Type, e.After, e.Persisted = "divergence.resolved", after, says
		t.event(e)
	}
}

// alert tells that Slack took a message about an event: another post where
// posted says so. Told twice, it is named once.
func (t *tale) alert(thread, message, about string, resolved bool) {
	t.event(Event{Type: "alert.delivered", Key: "incident", Alert: &Alert{Thread: thread, Message: message, Event: about, Resolved: resolved}})
	ts := thread
	if message != "" {
		ts = message
	}
	t.posted = append(t.posted, Message{TS: ts, Posted: t.now})
}

// slack writes down what is in Slack in the end.
func (t *tale) slack() {
	t.add(Record{Told: true})
	for _, m := range t.posted {
		t.add(Record{Slack: &m})
	}
}

// failRender tells a render that fails, and returns the id of what says so;
// succeed tells that the next one doesn't.
func (t *tale) failRender() string {
	dir := t.declare(6, "two")
	dir.Broken = BrokenSyntax
	t.push("c2", dir)
	t.observe("c2")
	t.event(Event{Type: "render.failed", Commit: "c2"})
	return fmt.Sprint("id-", t.stored)
}

func (t *tale) succeed() string {
	t.push("c1", t.declare(6, "one"))
	t.observe("c1")
	t.event(Event{Type: "manifests.unchanged", Commit: "c1"})
	return fmt.Sprint("id-", t.stored)
}

// A history in which all is well has no violations.
func TestGoodHistories(t *testing.T) {
	good(t, map[string]func(*tale){
		"a commit":   func(t *tale) { t.converge("c2", t.declare(6, "two")) },
		"back again": func(t *tale) { t.converge("c2", t.declare(6, "two")); t.converge("c1", t.declare(6, "one")) },
		"a small prune": func(t *tale) {
			t.converge("c2", t.declare(5, "one"))
		},
		"an approved prune": func(t *tale) {
			t.event(Event{Type: "approval.given"})
			t.converge("c2", t.declare(1, "one"))
		},
		"a prune that is denied, and told": func(t *tale) {
			t.deny(true)
			t.prune()
		},
		"a prune that is denied, and given up for a newer revision": func(t *tale) {
			t.deny(false)
			t.converge("c3", t.declare(6, "one"))
		},
		"a commit that can't be rendered": func(t *tale) {
			dir := t.declare(6, "two")
			dir.Broken = BrokenSyntax
			t.push("c2", dir)
			t.observe("c2")
			t.event(Event{Type: "render.failed", Commit: "c2"})
		},
		"a commit that crashes its render": func(t *tale) {
			dir := t.declare(6, "two")
			dir.Broken = BrokenCrash
			t.push("c2", dir)
			t.observe("c2")
			t.event(Event{Type: "render.failed", Commit: "c2", Reason: reasonQuarantined})
			t.rest()
			t.converge("c1", t.declare(6, "one"))
		},
		"a deletion by hand, put right": func(t *tale) {
			s := t.live["/ConfigMap/ns/cm-0"]
			t.add(Record{Hand: &HandDone{Deleted: true, UID: s.UID}})
			t.remove(s.Key)
			t.write(t.dir.Objects[0], "digest of one")
		},
		"a namespace that was taken away and came back": func(t *tale) {
			t.add(Record{Hand: &HandDone{Hand: Hand{Namespace: "ns"}, Whole: true}})
			s := t.live["/ConfigMap/ns/cm-0"]
			t.remove(s.Key)
			t.write(t.dir.Objects[0], "digest of one")
		},
		"a new life of the log": func(t *tale) {
			t.turn("e2")
			t.observe("c1")
			t.keep()
			t.event(Event{Type: "convergence.applied", Commit: "c1"})
		},
		"an edit by hand in a cluster that was restored": func(t *tale) {
			t.add(Record{Relist: true})
			s := t.live["/ConfigMap/ns/cm-0"]
			edited := withField(s, "hand")
			t.version++
			edited.Version, edited.Content, edited.Ours, edited.Others = t.version, "hand", "less", "kubectl"
			t.add(Record{Object: &edited})
			t.version++
			s.Version = t.version
			t.live[s.Key] = s
			t.add(Record{Object: &s})
		},
		"an alert of a seed that ends before Slack is asked": func(t *tale) {
			t.alert("ts-1", "", t.failRender(), false)
			t.alert("ts-1", "ts-2", t.succeed(), true)
		},
		"a prune that is done again in a cluster that was put back": func(t *tale) {
			dir := t.declare(4, "one")
			t.push("c2", dir)
			t.observe("c2")
			t.widen(dir)
			back := []State{t.live["/ConfigMap/ns/cm-4"], t.live["/ConfigMap/ns/cm-5"]}
			for _, s := range back {
				t.remove(s.Key)
			}
			t.add(Record{Relist: true})
			t.keep()
			for _, s := range back {
				t.version++
				s.Version = t.version
				t.live[s.Key] = s
				s.Listed = true
				t.add(Record{Object: &s})
			}
			for _, s := range back {
				t.remove(s.Key)
			}
			t.narrow()
			t.event(Event{Type: "convergence.applied", Commit: "c2"})
		},
		"a commit that is overtaken before it is rendered": func(t *tale) {
			t.push("c2", t.declare(6, "two"))
			t.observe("c2")
			t.converge("c3", t.declare(6, "three"))
		},
		"a render that is superseded": func(t *tale) {
			t.push("c2", t.declare(6, "two"))
			t.observe("c2")
			late := t.fence
			t.event(Event{Type: "manifests.rendered", Commit: "c2", Digest: "d2"})
			t.converge("c3", t.declare(6, "three"))
			t.event(Event{Type: "convergence.superseded", Epoch: late.Epoch, Sequence: late.Sequence, By: t.fence.Sequence})
		},
		"a render of the bundle that a newer one has": func(t *tale) {
			t.lift()
			t.push("c2", t.declare(6, "two"))
			t.observe("c2")
			t.event(Event{Type: "manifests.rendered", Commit: "c2", Digest: "d2"})
			t.push("c3", t.declare(6, "two"))
			t.observe("c3")
			t.event(Event{Type: "manifests.unchanged", Commit: "c3", Digest: "d2"})
			t.converge("c4", t.declare(6, "one"))
		},
		"a render in the hands of an applier that is killed": func(t *tale) {
			t.push("c2", t.declare(6, "two"))
			t.observe("c2")
			t.event(Event{Type: "manifests.rendered", Commit: "c2", Digest: "d2"})
			t.converge("c3", t.declare(6, "three")) // in a round of F3
		},
		"a render of an application that is withdrawn": func(t *tale) {
			t.lift()
			t.push("c2", t.declare(6, "one"))
			t.observe("c2")
			t.event(Event{Type: "manifests.rendered", Commit: "c2", Digest: "d2"})
			t.add(Record{Ref: &RefChange{Op: OpFleet, Repository: "fleet", Branch: "main", Commit: "fleet2"}})
			for _, key := range slices.Sorted(maps.Keys(t.live)) {
				t.remove(key)
			}
			t.event(Event{Type: "application.withdrawn"})
		},
		"a withdrawal whose last deletion is only seen in a list": func(t *tale) {
			t.lift()
			t.add(Record{Ref: &RefChange{Op: OpFleet, Repository: "fleet", Branch: "main", Commit: "fleet2"}})
			keys := slices.Sorted(maps.Keys(t.live))
			last := t.live[keys[0]]
			delete(t.live, keys[0])
			for _, key := range keys[1:] {
				t.remove(key)
			}
			t.event(Event{Type: "application.withdrawn"})
			t.version++
			t.add(Record{Inventory: &Inventory{App: "shop", UID: "inv", Version: t.version, Fence: t.fence}})
			t.version++
			t.add(Record{Inventory: &Inventory{App: "shop", UID: "inv", Version: t.version, Gone: true}})
			last.Version, last.Listed = t.version+1, true // that of the list
			t.add(Record{Gone: &last})
		},
		"a revision that is lost with its log": func(t *tale) {
			t.push("c2", t.declare(6, "two"))
			t.observe("c2")
			t.event(Event{Type: "manifests.rendered", Commit: "c2", Digest: "d2"})
			t.turn("e2")
			t.converge("c2", t.declare(6, "two"))
		},
		"an incident that is told, and that it is over": func(t *tale) {
			failed := t.failRender()
			t.alert("1", "", failed, false)
			t.alert("1", "2", t.succeed(), true)
			failed = t.failRender()
			t.alert("3", "", failed, false)
			t.slack()
		},
		"a message that is sent twice, as the notifier was killed": func(t *tale) {
			t.add(Record{Begun: &FaultRun{Round: 2, Row: "F4", Name: "kill-auditor"}})
			t.posted = append(t.posted, Message{TS: "0", Posted: t.now})
			t.alert("1", "", t.failRender(), false)
			t.slack()
		},
		"a divergence that is over with another life of the log": func(t *tale) {
			t.diverge(told.AlertAfter, 1, 0, false)
			t.diverge(time.Second, 0, 1, false)
			t.turn("e2")
			t.event(Event{Type: "divergence.resolved", Key: "k", Since: t.now}) // an old log has it open
			t.event(Event{Type: "divergence.resolved", Key: "unread", Since: t.now.Add(-time.Minute)})
			t.observe("c1")
			t.keep()
			t.event(Event{Type: "convergence.applied", Commit: "c1"})
		},
		"the end of a fault whose beginning is not there": func(t *tale) {
			t.history = slices.DeleteFunc(t.history, func(r Record) bool { return r.Begun != nil })
			t.add(Record{Lifted: &FaultRun{Round: 1, Row: "F3", Name: "kill-applier"}})
		},
		"an hour that a clock has made up": func(t *tale) {
			t.add(Record{Lifted: &FaultRun{}})
			t.rest()
			t.add(Record{Begun: &FaultRun{Round: 2, Row: "F31", Name: clockJumps}})
			t.add(Record{Lifted: &FaultRun{Round: 2, Row: "F31", Name: clockJumps}})
			t.diverge(time.Hour, 0, 1, false)
			t.diverge(time.Second, 1, 1, true)
		},
		"an alert":           func(t *tale) { t.diverge(time.Minute, 1, 1, true) },
		"a short divergence": func(t *tale) { t.diverge(time.Second, 0, 1, false) },
	})
}

// good fails where a history has violations that has none.
func good(t *testing.T, tales map[string]func(*tale)) {
	t.Helper()
	for name, tell := range tales {
		story := newTale()
		tell(story)
		story.rest()
		for _, v := range Check(story.history) {
			t.Errorf("%s: %s", name, v)
		}
	}
}

// Each planted violation is found, by the invariant that it breaks, or by what
// is said of it, and with the fault in whose round it lies.
func TestPlantedViolations(t *testing.T) {
	planted(t, map[string]func(*tale) string{
		"a commit is lost": func(t *tale) string {
			t.push("c2", t.declare(6, "two"))
			return "I1"
		},
		"an older commit is live": func(t *tale) string {
			t.converge("c2", t.declare(6, "two"))
			t.live["/ConfigMap/ns/cm-3"] = withField(t.live["/ConfigMap/ns/cm-3"], "one")
			return "I1"
		},
		"an object is left behind": func(t *tale) string {
			s := t.live["/ConfigMap/ns/cm-5"]
			t.converge("c2", t.declare(5, "one"))
			t.live[s.Key] = s
			return "I1"
		},
		"a field is left behind": func(t *tale) string {
			s := t.live["/ConfigMap/ns/cm-0"]
			s.Fields = map[string]string{"data.a": "one", "data.old": "v"}
			t.live[s.Key] = s
			return "I1"
		},
		"an undeclared application is there": func(t *tale) string {
			t.live["/ConfigMap/ns/x"] = State{Key: "/ConfigMap/ns/x", App: "gone"}
			return "I1"
		},
		"a broken commit is applied": func(t *tale) string {
			dir := t.declare(6, "two")
			dir.Broken = BrokenSyntax
			t.push("c2", dir)
			for key, s := range t.live {
				t.live[key] = withField(s, "two")
			}
			return "I1"
		},
		"the fence falls": func(t *tale) string {
			t.converge("c2", t.declare(6, "two"))
			t.fence.Sequence = 1
			t.keep()
			return "I2"
		},
		"a fence can't be read": func(t *tale) string {
			t.keep()
			t.history[len(t.history)-1].Inventory.Unread = true
			return "can't be read"
		},
		"a life of the log comes back": func(t *tale) string {
			t.fence.Epoch, t.fence.Retired = "e2", []string{"e1"}
			t.keep()
			t.fence.Epoch = "e1"
			t.keep()
			return "I2"
		},
		"a life of the log is forgotten": func(t *tale) string {
			t.fence.Epoch = "e2"
			t.keep()
			return "I2"
		},
		"an older revision is written": func(t *tale) string {
			t.converge("c2", t.declare(6, "two"))
			t.converge("c3", t.declare(6, "three"))
			t.converge("c4", t.declare(6, "four"))
			t.write(t.declare(1, "two").Objects[0], "digest of two")
			t.write(t.declare(1, "four").Objects[0], "digest of four")
			return "I2"
		},
		"a write before the fence": func(t *tale) string {
			t.push("c2", t.declare(6, "two"))
			t.write(t.declare(1, "two").Objects[0], "digest of two")
			t.write(t.declare(1, "one").Objects[0], "digest of one")
			t.observe("c2")
			t.event(Event{Type: "render.failed"})
			t.push("c1", t.declare(6, "one"))
			t.observe("c1")
			t.event(Event{Type: "manifests.unchanged"})
			return "I2"
		},
		"a write that changes nothing": func(t *tale) string {
			t.write(t.dir.Objects[0], "digest of one")
			return "I3"
		},
		"a write for a repeated delivery": func(t *tale) string {
			t.add(Record{Begun: &FaultRun{Round: 2, Row: "F11", Name: "redelivered", Quiet: true}})
			s := t.live["/ConfigMap/ns/cm-0"]
			t.write(t.dir.Objects[0], "digest of one")
			t.history[len(t.history)-1].Object.Content = "another"
			t.live[s.Key] = s
			return "I3"
		},
		"a delete of what is declared": func(t *tale) string {
			t.remove("/ConfigMap/ns/cm-0")
			t.write(t.dir.Objects[0], "digest of one")
			return "I4"
		},
		"a delete of what is declared, and another kind was taken away": func(t *tale) string {
			t.add(Record{Hand: &HandDone{Hand: Hand{Kind: "Widget", Namespace: "ns"}, Whole: true}})
			t.remove("/ConfigMap/ns/cm-0")
			t.write(t.dir.Objects[0], "digest of one")
			return "I4"
		},
		"a delete of what is declared, long after its namespace went": func(t *tale) string {
			t.add(Record{Hand: &HandDone{Hand: Hand{Namespace: "ns"}, Whole: true}})
			t.rest()
			t.remove("/ConfigMap/ns/cm-0")
			t.write(t.dir.Objects[0], "digest of one")
			return "I4"
		},
		"a delete of what is not owned": func(t *tale) string {
			t.write(Object{Kind: "ConfigMap", Name: "foreign", Fields: map[string]string{"data.a": "x"}}, "")
			t.remove("/ConfigMap/ns/foreign")
			return "I4"
		},
		"a prune past the guard": func(t *tale) string {
			t.converge("c2", t.declare(1, "one"))
			return "I4"
		},
		"a prune for a broken commit": func(t *tale) string {
			dir := t.declare(5, "one")
			dir.Broken = BrokenEmpty
			t.push("c2", dir)
			t.observe("c2")
			t.event(Event{Type: "render.failed"})
			t.keep()
			t.remove("/ConfigMap/ns/cm-5")
			return "I4"
		},
		"nothing comes of a revision": func(t *tale) string {
			t.push("c1", t.declare(6, "one"))
			t.observe("c1")
			return "I5"
		},
		"a commit that crashes its render is not set aside": func(t *tale) string {
			dir := t.declare(6, "two")
			dir.Broken = BrokenCrash
			t.push("c2", dir)
			t.observe("c2")
			t.event(Event{Type: "render.failed", Commit: "c2", Reason: "crashed"})
			return "I5"
		},
		"a broken commit is said to have changed nothing": func(t *tale) string {
			dir := t.declare(6, "one")
			dir.Broken = BrokenEmpty
			t.push("c2", dir)
			t.observe("c2")
			t.event(Event{Type: "manifests.unchanged", Commit: "c2"})
			return "I5"
		},
		"a render is dropped": func(t *tale) string {
			t.lift()
			t.push("c2", t.declare(6, "two"))
			t.observe("c2")
			t.event(Event{Type: "manifests.rendered", Commit: "c2", Digest: "d2"})
			t.converge("c3", t.declare(6, "three"))
			return "I5"
		},
		"a render is dropped by an applier that was killed, and nothing newer came": func(t *tale) string {
			t.push("c2", t.declare(6, "one"))
			t.observe("c2")
			t.event(Event{Type: "manifests.rendered", Commit: "c2", Digest: "d2"})
			return "I5"
		},
		"a revision is superseded by an older one": func(t *tale) string {
			t.converge("c2", t.declare(6, "two"))
			t.push("c3", t.declare(6, "two"))
			t.observe("c3")
			t.event(Event{Type: "manifests.rendered", Commit: "c3", Digest: "d3"})
			t.event(Event{Type: "convergence.superseded", Commit: "c3", By: 1})
			return "I5"
		},
		"a revision is superseded by one that there is not": func(t *tale) string {
			t.push("c2", t.declare(6, "one"))
			t.observe("c2")
			t.event(Event{Type: "manifests.rendered", Commit: "c2", Digest: "d2"})
			t.event(Event{Type: "convergence.superseded", Commit: "c2", By: 4711})
			return "I5"
		},
		"a revision is superseded by another life of the log, and there is none": func(t *tale) string {
			t.push("c2", t.declare(6, "one"))
			t.observe("c2")
			t.event(Event{Type: "manifests.rendered", Commit: "c2", Digest: "d2"})
			t.event(Event{Type: "convergence.superseded", Commit: "c2"})
			return "I5"
		},
		"a revision is lost with its log, and nothing newer was observed": func(t *tale) string {
			t.push("c2", t.declare(6, "one"))
			t.observe("c2")
			t.turn("e2")
			t.event(Event{Type: "fleet.observed", App: "_"})
			return "I5"
		},
		"a prune is denied, and nobody says so": func(t *tale) string {
			t.deny(false)
			t.prune()
			return "was denied, and nobody said so"
		},
		"a prune is denied, and its object forgotten": func(t *tale) string {
			t.deny(true)
			delete(t.entries, "/ConfigMap/ns/cm-5")
			t.keep()
			t.prune()
			return "is not in the inventory"
		},
		"a prune is denied, and never made up for": func(t *tale) string {
			t.deny(true)
			return "I1"
		},
		"a commit is never observed": func(t *tale) string {
			t.push("c2", t.declare(6, "one"))
			return "I5"
		},
		"a secret in a log": func(t *tale) string {
			t.add(Record{Leak: &Leak{Canary: "canary-1", Where: "log/applier.log"}})
			return "I6"
		},
		"an alert is missing": func(t *tale) string {
			t.add(Record{Lifted: &FaultRun{}})
			t.diverge(time.Minute, 0, 1, false)
			return "I8"
		},
		"an alert comes twice":          func(t *tale) string { t.diverge(time.Minute, 2, 1, true); return "I8" },
		"an end is missing":             func(t *tale) string { t.diverge(time.Minute, 1, 0, true); return "I8" },
		"a divergence is alerted twice": func(t *tale) string { t.diverge(time.Second, 2, 1, true); return "alerted twice" },
		"a divergence is alerted too soon": func(t *tale) string {
			t.diverge(100*time.Millisecond, 1, 1, true)
			return "was alerted after 100ms"
		},
		"a divergence is open, and all is at rest": func(t *tale) string {
			t.diverge(time.Second, 0, 0, false)
			return "is open, and all is at rest"
		},
		"a divergence is resolved twice": func(t *tale) string {
			t.diverge(time.Second, 0, 2, false)
			return "resolved, and it was not open"
		},
		"a divergence is resolved twice, and the log was lost before": func(t *tale) string {
			t.diverge(time.Second, 0, 0, false)
			t.turn("e2")
			for range 2 {
				t.event(Event{Type: "divergence.resolved", Key: "k", Since: t.now})
			}
			t.observe("c1")
			t.keep()
			t.event(Event{Type: "convergence.applied", Commit: "c1"})
			return "resolved, and it was not open"
		},
		"a divergence is alerted and was never detected": func(t *tale) string {
			t.event(Event{Type: "divergence.persisted", Key: "k", Since: t.now})
			t.event(Event{Type: "divergence.resolved", Key: "k", Since: t.now, Persisted: true})
			return "alerted and never detected"
		},
		"an end denies its alert": func(t *tale) string { t.diverge(time.Minute, 1, 1, false); return "I8" },
		"an incident has two threads": func(t *tale) string {
			t.alert("1", "", t.failRender(), false)
			t.alert("2", "", t.failRender(), false)
			t.slack()
			return "I8"
		},
		"an incident is over twice": func(t *tale) string {
			t.alert("1", "", t.failRender(), false)
			over := t.succeed()
			t.alert("1", "2", over, true)
			t.alert("3", "", over, true)
			t.slack()
			return "I8"
		},
		"a thread goes on though it is over": func(t *tale) string {
			t.alert("1", "", t.failRender(), false)
			t.alert("1", "2", t.succeed(), true)
			t.alert("1", "3", t.failRender(), false)
			t.slack()
			return "I8"
		},
		"an incident is not told": func(t *tale) string {
			t.failRender()
			t.slack()
			return "I8"
		},
		"the end of an incident is not told": func(t *tale) string {
			t.alert("1", "", t.failRender(), false)
			t.succeed()
			t.slack()
			return "I8"
		},
		"a message is in Slack twice, and nobody was killed": func(t *tale) string {
			t.alert("1", "", t.failRender(), false)
			t.posted = append(t.posted, Message{TS: "2", Posted: t.now})
			t.slack()
			return "I8"
		},
		"a message is not in Slack": func(t *tale) string {
			t.alert("1", "", t.failRender(), false)
			t.posted = nil
			t.slack()
			return "I8"
		},
		"a divergence is told twice": func(t *tale) string {
			since := t.now
			t.event(Event{Type: "divergence.detected", Key: "k", Since: since})
			t.diverge(0, 0, 0, false)
			t.history[len(t.history)-1].Event.Since = since
			t.event(Event{Type: "divergence.resolved", Key: "k"})
			return "I8"
		},
	})
}

// planted fails where a violation isn't found that a history has, or names no row.
func planted(t *testing.T, plants map[string]func(*tale) string) {
	t.Helper()
	for name, plant := range plants {
		story := newTale()
		want := plant(story)
		story.rest()
		found := Check(story.history)
		ok := slices.ContainsFunc(found, func(v Violation) bool { return v.Invariant == want || len(want) > 2 && strings.Contains(v.Text, want) })
		if !ok {
			t.Errorf("%s: not found; found: %v", name, found)
		}
		for _, v := range found {
			if v.Row == "" {
				t.Errorf("%s: %s names no row", name, v)
			}
		}
	}
}

func withField(s State, value string) State {
	s.Fields = map[string]string{"data.a": value}
	return s
}
