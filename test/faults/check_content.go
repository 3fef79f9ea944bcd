// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"cmp"
	"fmt"
	"slices"
)

// revisions tell what a revision declares: from the events which commit it is,
// from the ref changes what that commit holds.
type revisions struct {
	commits map[string]string          // commit by application, epoch and sequence
	dirs    map[string]map[string]*Dir // folders by commit
	apps    map[string]App             // as last declared
}

func newRevisions(h History) revisions {
	r := revisions{map[string]string{}, map[string]map[string]*Dir{}, map[string]App{}}
	for _, record := range h {
		if ref := record.Ref; ref != nil {
			for _, app := range ref.Apps {
				r.apps[app.Name] = app
			}
			if ref.Dirs != nil {
				r.dirs[ref.Commit] = ref.Dirs
			}
		}
		if e := record.Event; e != nil && e.Commit != "" && e.Sequence != 0 {
			r.commits[fmt.Sprint(e.App, " ", e.Epoch, " ", e.Sequence)] = e.Commit
		}
	}
	return r
}

// at is what an application declares at a fence; nil where that was never
// seen, as of a log that was lost before it could be read.
func (r revisions) at(app string, f Fence) *Dir {
	commit := r.commits[fmt.Sprint(app, " ", f.Epoch, " ", f.Sequence)]
	return r.dirs[commit][app]
}

// checkContent decides I2 of what is written: whenever Plumbline gives an
// object another declaration, whose digest the object carries, it is that of
// the revision at the fence. A write that was under way when the fence went up
// is of the revision before, as long as that at the fence hasn't written or
// deleted the object: whatever is of the one before is refused then.
func checkContent(h History) []finding {
	found, _ := content(h)
	return found
}

func content(h History) ([]finding, Tally) {
	c := contentCheck{known: newRevisions(h), last: map[string]State{}, byHand: handDeleted(h), lossy: lossyRounds(h)}
	start := 0
	for i := range len(h) + 1 {
		if i == len(h) || h[i].Relist {
			c.piece(h, start, i)
			start = i + 1
		}
	}
	return c.found, c.tally
}

// handDeleted are the uids of what the workload's own hand deleted.
func handDeleted(h History) map[string]bool {
	uids := map[string]bool{}
	for _, r := range h {
		if r.Hand != nil && r.Hand.Deleted {
			uids[r.Hand.UID] = true
		}
	}
	return uids
}

// contentCheck is what is known while a history is read.
type contentCheck struct {
	known  revisions
	last   map[string]State // a list after a relist tells only what differs
	byHand map[string]bool
	lossy  []bool
	tally  Tally
	found  []finding

	// Of the present past of the cluster alone:
	fences map[string][]place // by application
	wrote  map[owned]int      // the lowest place that can have written or deleted an object last
}

// owned is an object of an application's: one that passes to another is written
// by the revisions of that.
type owned struct{ app, key string }

// place is a fence among those of its application that differ in their
// revision, in the cluster's own order.
type place struct {
	Fence
	version uint64 // from which on it was there
	first   bool   // of its inventory: none is before it
	gone    bool   // there is no inventory from here on
}

// places are the fences of an application's inventory that differ in their revision.
func places(list []at[Inventory]) []place {
	var all []place
	first := true
	for _, inv := range list {
		p := place{inv.value.Fence, inv.value.Version, first, inv.value.Gone}
		if n := len(all); first || p.gone || all[n-1].Epoch != p.Epoch || all[n-1].Sequence != p.Sequence {
			all = append(all, p)
		}
		first = p.gone
	}
	return all
}

// open are the places of the revisions that may write an object at a version,
// the older one first: the fence's, and the one before where the fence's hasn't
// had the object yet.
func (c *contentCheck) open(s State) (open []place, from int) {
	all := c.fences[s.App]
	n, _ := slices.BinarySearchFunc(all, s.Version, func(p place, version uint64) int { return cmp.Compare(p.version, version) })
	if n == 0 || all[n-1].gone {
		return nil, n
	}
	from = n - 1
	if !all[from].first {
		from--
	}
	from = min(max(from, c.wrote[owned{s.App, s.Key}]), n)
	return all[from:n], from
}

// piece judges what was seen in one past of the cluster.
func (c *contentCheck) piece(h History, from, to int) {
	c.fences, c.wrote = map[string][]place{}, map[owned]int{}
	for app, list := range inventories(h[from:to])[0] {
		c.fences[app] = places(list)
	}
	for i := from; i < to; i++ {
		switch {
		case h[i].Object != nil:
			c.written(i, *h[i].Object)
		case h[i].Gone != nil:
			c.deleted(*h[i].Gone)
		}
	}
}

func (c *contentCheck) written(i int, s State) {
	was := c.last[s.Key]
	c.last[s.Key] = s
	if s.App == "" || s.Digest == was.Digest && s.UID == was.UID {
		return // not a write of another declaration
	}
	if s.Listed {
		c.tally.add(false, c.lossy[i]) // one of several that were not seen one by one
		return
	}
	text, judged := c.wrong(s)
	c.tally.add(judged, c.lossy[i])
	if text != "" {
		c.found = append(c.found, finding{"I2", i, text})
	}
}

// wrong says how a write differs from what each revision declares that may have
// written it, or "", and whether it was known what they declare.
func (c *contentCheck) wrong(s State) (wrong string, judged bool) {
	open, from := c.open(s)
	at, text := -1, ""
	for n, p := range slices.Backward(open) {
		dir := c.known.at(s.App, p.Fence)
		if dir == nil {
			return "", at >= 0 // nobody knows what that was
		}
		o := dir.find(s.kind(), s.name())
		if o == nil {
			text = cmp.Or(text, fmt.Sprintf("%s was written at %d, and revision %d of %s doesn't declare it", s.Key, s.Version, p.Sequence, s.App))
			continue
		}
		if differs := o.differs(s.Fields); differs != "" {
			text = cmp.Or(text, fmt.Sprintf("%s was written at %d by revision %d of %s: %s", s.Key, s.Version, p.Sequence, s.App, differs))
			continue
		}
		at = from + n // the lower, where it may be of both
	}
	if at >= 0 {
		c.wrote[owned{s.App, s.Key}] = at
		return "", true
	}
	return text, len(open) > 0
}

// deleted takes in a deletion of Plumbline's: what a revision has deleted, none
// before it makes again. What went by another's hand, or is only seen in a
// list, tells nothing.
func (c *contentCheck) deleted(s State) {
	if s.App == "" || s.Listed || c.last[s.Key].Deleting || c.byHand[s.UID] {
		return
	}
	open, from := c.open(s)
	for n, p := range open {
		dir := c.known.at(s.App, p.Fence)
		if dir == nil {
			return // nobody knows what that was
		}
		if dir.Broken == "" && dir.find(s.kind(), s.name()) == nil {
			c.wrote[owned{s.App, s.Key}] = from + n
			return
		}
	}
}
