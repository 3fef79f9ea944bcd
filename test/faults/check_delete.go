// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"cmp"
	"fmt"
	"slices"
)

// The guards that the documentation promises: of more than four objects at
// most half goes at once, of the applications at most 30 per cent.
const (
	guardSmall   = 4
	guardShare   = 2
	guardPercent = 30
)

// checkDeletes decides I4: every object that was deleted, and not by the
// workload's own hand, was in the inventory, is not declared by the revision
// at the fence, and stands behind no guard, or was approved.
func checkDeletes(h History) []finding {
	found, _ := deletes(h)
	return found
}

func deletes(h History) ([]finding, Tally) {
	c := deleteCheck{
		known: newRevisions(h), byHand: handDeleted(h), live: map[string]State{}, leaving: map[string]bool{}, undeclared: map[string]int{},
		approved: map[string][]int{}, gone: map[string]map[string]bool{}, held: map[string]bool{}, lossy: lossyRounds(h),
	}
	for i, r := range h {
		if r.Event != nil && r.Event.Type == "approval.given" {
			c.approved[r.Event.App] = append(c.approved[r.Event.App], i)
		}
	}
	c.pieces = inventories(h)
	for i, r := range h {
		c.take(i, r)
	}
	return c.found, c.tally
}

// deleteCheck is what is known while a history is read.
type deleteCheck struct {
	known      revisions
	pieces     []map[string][]at[Inventory]
	byHand     map[string]bool  // uids
	live       map[string]State // by key
	emptied    []Hand           // namespaces, or one kind in them, that are on their way out
	leaving    map[string]bool  // uids of what goes with them, until the next rest
	approved   map[string][]int // where, by application
	undeclared map[string]int   // where an application was last not declared
	declared   []App
	piece      int
	rest       int                        // where all was last at rest
	gone       map[string]map[string]bool // keys of what was deleted, by application and fence
	held       map[string]bool            // guards that were reported once
	lossy      []bool
	tally      Tally
	found      []finding
}

func (c *deleteCheck) take(i int, r Record) {
	switch {
	case r.Relist:
		c.piece++
	case r.Quiet != nil:
		c.rest, c.emptied, c.leaving = i, nil, map[string]bool{}
	case r.Lifted != nil:
		c.emptied = nil // it is there again
	case r.Hand != nil && r.Hand.Whole:
		c.emptied = append(c.emptied, r.Hand.Hand)
		for _, s := range c.live {
			c.excuse(s)
		}
	case r.Object != nil:
		c.live[r.Object.Key] = *r.Object
		c.excuse(*r.Object)
	case r.Ref != nil && r.Ref.Op == OpFleet:
		for _, app := range c.known.apps {
			if !slices.ContainsFunc(r.Ref.Apps, func(a App) bool { return a.Name == app.Name }) {
				c.undeclared[app.Name] = i
			}
		}
		c.declared = r.Ref.Apps
	case r.Gone != nil:
		delete(c.live, r.Gone.Key)
		c.deleted(i, *r.Gone)
	}
}

// excuse takes an object for one that goes with its namespace or kind, if that
// is on its way out. What is made anew when it is back is another one; what is
// seen meanwhile was made before the end began, when nothing can be made any more.
func (c *deleteCheck) excuse(s State) {
	if slices.ContainsFunc(c.emptied, s.within) {
		c.leaving[s.UID] = true
	}
}

func (c *deleteCheck) deleted(i int, s State) {
	if s.App == "" || c.byHand[s.UID] || c.leaving[s.UID] {
		return
	}
	judged := false
	defer func() { c.tally.add(judged, c.lossy[i]) }()
	if s.Listed && c.piece > 0 {
		return
	}
	list := c.pieces[min(c.piece, len(c.pieces)-1)][s.App]
	n, _ := slices.BinarySearchFunc(list, s.Version, func(inv at[Inventory], version uint64) int {
		return cmp.Compare(inv.value.Version, version)
	})
	for s.Listed && n > 1 && !list[n-1].value.holds(s.Key) {
		n-- // a list says that it is gone, and not since when
	}
	if n == 0 || list[n-1].value.Gone {
		judged = true
		c.report(i, s, "it has no inventory")
		return
	}
	inv := list[n-1].value
	if _, owned := inv.Entries[s.Key]; !owned {
		judged = true
		c.report(i, s, "it is not in the inventory")
		return
	}
	if c.withdrawn(s.App) {
		judged = true
		c.withdrawal(i, s)
		return
	}
	dir := c.known.at(s.App, inv.Fence)
	if dir == nil {
		return // of a log that was lost before it could be read
	}
	judged = true
	if dir.Broken != "" || dir.find(s.kind(), s.name()) != nil {
		c.report(i, s, fmt.Sprintf("revision %d, at the fence, declares it", inv.Fence.Sequence))
		return
	}
	c.guard(i, s, list[:n])
}

// holds says that an inventory has an object.
func (i Inventory) holds(key string) bool {
	_, owned := i.Entries[key]
	return owned && !i.Gone
}

// within says that an object is of what somebody took away as a whole.
func (s State) within(h Hand) bool {
	return s.namespace() == h.Namespace && (h.Kind == "" || h.Kind == s.kind())
}

// withdrawn says that an application is not declared, or was not a moment ago.
func (c *deleteCheck) withdrawn(app string) bool {
	if !slices.ContainsFunc(c.declared, func(a App) bool { return a.Name == app }) {
		return true
	}
	where, ever := c.undeclared[app]
	return ever && where >= c.rest
}

func (c *deleteCheck) withdrawal(i int, s State) {
	all, gone := len(c.declared), 0
	for app := range c.known.apps {
		list := c.pieces[min(c.piece, len(c.pieces)-1)][app]
		n := slices.IndexFunc(list, func(inv at[Inventory]) bool { return inv.index > i })
		if n < 0 {
			n = len(list)
		}
		there := n > 0 && !list[n-1].value.Gone
		if there && !slices.ContainsFunc(c.declared, func(a App) bool { return a.Name == app }) {
			gone++
			all++
		}
	}
	if gone > 1 && gone*100 > all*guardPercent && !c.waived(i, s.App) {
		c.report(i, s, fmt.Sprintf("%d of %d applications were withdrawn at once, and nobody approved", gone, all))
	}
}

// guard counts what goes from an application at one fence. What is put back, as by
// a restore of the cluster, and deleted again is one object still.
func (c *deleteCheck) guard(i int, s State, list []at[Inventory]) {
	inv := list[len(list)-1].value
	at := fmt.Sprint(s.App, " ", inv.Fence.Epoch, " ", inv.Fence.Sequence)
	if c.gone[at] == nil {
		c.gone[at] = map[string]bool{}
	}
	c.gone[at][s.Key] = true
	owned := 0
	for _, before := range slices.Backward(list) {
		if before.value.Fence.Epoch != inv.Fence.Epoch || before.value.Fence.Sequence != inv.Fence.Sequence {
			break
		}
		n := 0
		for _, e := range before.value.Entries {
			if e.UID != "" {
				n++
			}
		}
		owned = max(owned, n)
	}
	switch {
	case c.waived(i, s.App) || c.held[at]:
	case kinds[s.kind()].protected:
		c.report(i, s, "its kind is protected, and nobody approved")
	case owned > guardSmall && len(c.gone[at])*guardShare > owned:
		c.held[at] = true
		c.report(i, s, fmt.Sprintf("%d of %d objects were deleted at once, and nobody approved", len(c.gone[at]), owned))
	}
}

// waived says that a deletion of an application was approved about then. An
// approval is seen some time after it was given.
func (c *deleteCheck) waived(i int, app string) bool {
	return slices.ContainsFunc(c.approved[app], func(where int) bool { return where >= c.rest && where <= i+approvalLag })
}

// approvalLag is how many records later than its effect an approval may be
// seen: log and cluster are watched apart.
const approvalLag = 500

func (c *deleteCheck) report(i int, s State, why string) {
	c.found = append(c.found, finding{"I4", i, fmt.Sprintf("%s of %s was deleted at %d: %s", s.Key, s.App, s.Version, why)})
}
