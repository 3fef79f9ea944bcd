// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// calmAfter is how long after a fault its traces may last: what was ended or cut
// off finds its way back, and waits between its tries.
const calmAfter = 10 * time.Second

// checkDifferences decides I8 by what is seen in the cluster, whatever the auditor
// says: of an object that was not as the revision at the fence declares it, for
// longer than alertSlack, a divergence was detected by the next rest, and it
// persisted if that was longer than its window and alertSlack.
//
// Only what is certain is judged. Nothing is broken, nor was shortly before. The
// application is declared, the revision at its fence is Git's newest, of this life
// of the log, and all of it was applied. Where any of that changes, or another
// inventory is written, the time begins anew. What is seen in a list alone may have
// been so for long, and what a namespace or a kind takes away with it may not be
// looked at before that is back.
func checkDifferences(h History) []finding {
	d := differences{
		known: newRevisions(h), git: newGitView(), fences: map[string]Inventory{}, live: map[string]State{},
		open: map[string]difference{}, limited: map[string]bool{}, said: map[string]string{},
	}
	for i, r := range h {
		if i == 0 {
			d.calm = r.At
		}
		d.take(i, r)
	}
	return d.found
}

// difference is an object that is not as it is declared.
type difference struct {
	app, key string
	text     string
	from     time.Time
	lasted   time.Duration // once it is over
	at       int           // the record that ends it
}

type differences struct {
	known   revisions
	git     *gitView
	epoch   string
	fences  map[string]Inventory // by application
	live    map[string]State     // by key
	open    map[string]difference
	calm    time.Time         // since when nothing is broken; zero: something is
	clocks  bool              // since the last rest clocks were wrong
	emptied []Hand            // since the last rest
	limited map[string]bool   // applications of which the auditor said since then that it can't see all
	said    map[string]string // by object: the furthest that was said of it since then
	over    []difference      // since then
	found   []finding
}

func (d *differences) take(i int, r Record) {
	switch {
	case r.Ref != nil:
		d.git.take(r.Ref)
		for name, app := range d.git.declared {
			if r.Ref.Op == OpFleet || app.ref() == r.Ref.Repository+"/"+r.Ref.Branch {
				d.anew(r.At, name)
			}
		}
	case r.Log != nil:
		d.epoch, d.open = r.Log.Epoch, map[string]difference{}
		for name := range d.git.declared {
			d.anew(r.At, name)
		}
	case r.Relist:
		d.fences, d.live, d.open = map[string]Inventory{}, map[string]State{}, map[string]difference{}
	case r.Begun != nil:
		d.calm = time.Time{}
		d.clocks = d.clocks || r.Begun.Name == clockJumps || r.Begun.Name == clockRates
	case r.Lifted != nil:
		d.calm = r.At.Add(calmAfter)
	case r.Hand != nil && r.Hand.Whole:
		d.emptied = append(d.emptied, r.Hand.Hand)
	case r.Inventory != nil:
		d.fences[r.Inventory.App] = *r.Inventory
		d.anew(r.At, r.Inventory.App)
	case r.Object != nil:
		was := d.live[r.Object.Key]
		d.live[r.Object.Key] = *r.Object
		d.look(i, r.At, cmp.Or(r.Object.App, was.App), *r.Object)
	case r.Gone != nil:
		delete(d.live, r.Gone.Key)
		d.look(i, r.At, r.Gone.App, *r.Gone)
	case r.Event != nil:
		d.hear(*r.Event)
	case r.Quiet != nil:
		d.close()
	}
}

// hear remembers what was said of which object.
func (d *differences) hear(e Event) {
	switch e.Type {
	case "audit.limited":
		d.limited[e.App] = true
	case "divergence.detected", "divergence.persisted":
		for _, key := range e.Objects {
			d.said[key] = max(d.said[key], e.Type) // in their alphabet's order
		}
	}
}

// sure is what an application declares where it is certain what has to be live;
// nil: it isn't.
func (d *differences) sure(name string) *Dir {
	app, declared := d.git.declared[name]
	inv, there := d.fences[name]
	commit := d.known.commits[fmt.Sprint(name, " ", inv.Fence.Epoch, " ", inv.Fence.Sequence)]
	if !declared || !there || inv.Gone || !inv.Fence.Applied || inv.Fence.Epoch != d.epoch || commit == "" || commit != d.git.commits[app.ref()] {
		return nil
	}
	return d.git.dir(app)
}

// anew has the time of all differences of an application begin now.
func (d *differences) anew(at time.Time, name string) {
	maps.DeleteFunc(d.open, func(_ string, o difference) bool { return o.app == name })
	dir := d.sure(name)
	if dir == nil {
		return
	}
	for _, o := range dir.Objects {
		d.begin(at, name, o)
	}
}

// begin notes that an object differs, if it does.
func (d *differences) begin(at time.Time, name string, o Object) {
	key := o.key(d.git.declared[name].Namespace)
	s, there := d.live[key]
	text := "it was gone"
	if there {
		text = o.differs(s.Fields)
	}
	if _, known := d.open[key]; text == "" || s.Deleting || kinds[o.Kind].absent || known {
		return
	}
	d.open[key] = difference{app: name, key: key, text: text, from: at}
}

// look compares an object of which another state is known.
func (d *differences) look(i int, at time.Time, name string, s State) {
	dir := d.sure(name)
	if dir == nil {
		delete(d.open, s.Key)
		return
	}
	o := dir.find(s.kind(), s.name())
	if o == nil {
		return
	}
	now, there := d.live[s.Key]
	if !there || o.differs(now.Fields) != "" {
		d.begin(at, name, *o)
		return
	}
	open, was := d.open[s.Key]
	delete(d.open, s.Key)
	if !was || s.Listed || d.clocks || d.calm.IsZero() || slices.ContainsFunc(d.emptied, s.within) {
		return
	}
	if open.from.Before(d.calm) {
		open.from = d.calm
	}
	open.lasted, open.at = at.Sub(open.from), i
	d.over = append(d.over, open)
}

// close compares, at rest, what was seen with what was said.
func (d *differences) close() {
	for _, o := range d.over {
		window := d.known.apps[o.app].AlertAfter
		what := ""
		switch {
		case d.limited[o.app]:
		case d.said[o.key] == "" && o.lasted > alertSlack:
			what = "nobody said so"
		case d.said[o.key] != "divergence.persisted" && o.lasted > window+alertSlack:
			what = fmt.Sprintf("nobody was alerted; its window is %s", window)
		}
		if what != "" {
			d.found = append(d.found, finding{"I8", o.at, fmt.Sprintf("%s of %s differed for %s (%s), and %s", o.key, o.app, o.lasted, o.text, what)})
		}
	}
	d.over, d.emptied, d.clocks = nil, nil, false
	d.open, d.said, d.limited = map[string]difference{}, map[string]string{}, map[string]bool{}
}
