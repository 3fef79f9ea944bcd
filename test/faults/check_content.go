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
// is of the revision before.
func checkContent(h History) []finding {
	found, _ := content(h)
	return found
}

func content(h History) (found []finding, tally Tally) {
	lossy := lossyRounds(h)
	known := newRevisions(h)
	last := map[string]State{} // a list after a relist tells only what differs
	start := 0
	for i := range len(h) + 1 {
		if i == len(h) || h[i].Relist {
			found = append(found, contentOf(h, start, i, known, last, func(i int, judged bool) { tally.add(judged, lossy[i]) })...)
			start = i + 1
		}
	}
	return found, tally
}

func contentOf(h History, from, to int, known revisions, last map[string]State, count func(i int, judged bool)) []finding {
	fences := inventories(h[from:to])[0]
	var found []finding
	for i := from; i < to; i++ {
		s := h[i].Object
		if s == nil {
			continue
		}
		was := last[s.Key]
		last[s.Key] = *s
		if s.App == "" || s.Digest == was.Digest && s.UID == was.UID {
			continue // not a write of another declaration
		}
		if s.Listed {
			count(i, false) // one of several that were not seen one by one
			continue
		}
		text, judged := wrongContent(*s, fences[s.App], known)
		count(i, judged)
		if text != "" {
			found = append(found, finding{"I2", i, text})
		}
	}
	return found
}

// wrongContent says how a write differs from what the fence and the one before
// it declare, or "", and whether it was known what they declare.
func wrongContent(s State, fences []at[Inventory], known revisions) (wrong string, judged bool) {
	n, _ := slices.BinarySearchFunc(fences, s.Version, func(inv at[Inventory], version uint64) int {
		return cmp.Compare(inv.value.Version, version)
	})
	text := ""
	revisions := distinct(fences[:n])
	for _, inv := range slices.Backward(revisions) {
		dir := known.at(s.App, inv)
		if dir == nil {
			return "", false // nobody knows what that was
		}
		o := dir.find(s.kind(), s.name())
		if o == nil {
			text = cmp.Or(text, fmt.Sprintf("%s was written at %d, and revision %d of %s doesn't declare it", s.Key, s.Version, inv.Sequence, s.App))
			continue
		}
		differs := o.differs(s.Fields)
		if differs == "" {
			return "", true
		}
		text = cmp.Or(text, fmt.Sprintf("%s was written at %d by revision %d of %s: %s", s.Key, s.Version, inv.Sequence, s.App, differs))
	}
	return text, len(revisions) > 0
}

// distinct are the last two fences that differ in their revision.
func distinct(list []at[Inventory]) []Fence {
	var last []Fence
	for _, inv := range slices.Backward(list) {
		f := inv.value.Fence
		if inv.value.Gone {
			break
		}
		if len(last) == 0 || last[0].Epoch != f.Epoch || last[0].Sequence != f.Sequence {
			last = append([]Fence{f}, last...)
		}
		if len(last) == 2 {
			break
		}
	}
	return last
}
