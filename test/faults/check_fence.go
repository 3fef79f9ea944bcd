// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"cmp"
	"fmt"
	"slices"
)

// at is a record and where in the history it is.
type at[T any] struct {
	index int
	value T
}

// inventories are the inventories of each application in the cluster's own
// order, cut where the cluster's past was replaced by another: what is then
// may be older.
func inventories(h History) (pieces []map[string][]at[Inventory]) {
	piece := map[string][]at[Inventory]{}
	for i, r := range h {
		switch {
		case r.Relist:
			pieces = append(pieces, piece)
			piece = map[string][]at[Inventory]{}
		case r.Inventory != nil:
			piece[r.Inventory.App] = append(piece[r.Inventory.App], at[Inventory]{i, *r.Inventory})
		}
	}
	pieces = append(pieces, piece)
	for _, piece := range pieces {
		for _, list := range piece {
			slices.SortStableFunc(list, func(a, b at[Inventory]) int { return cmp.Compare(a.value.Version, b.value.Version) })
		}
	}
	return pieces
}

// checkFence decides I2 of the fences: within a life of the log a fence never
// goes down, and a life that it left never comes back.
func checkFence(h History) []finding {
	var found []finding
	for _, piece := range inventories(h) {
		for app, list := range piece {
			found = append(found, fallingFence(app, list)...)
		}
	}
	return found
}

func fallingFence(app string, list []at[Inventory]) []finding {
	var found []finding
	var was Fence
	left := map[string]bool{}
	for _, inv := range list {
		now := inv.value.Fence
		if inv.value.Gone { // its application was withdrawn: another life begins
			was, left = Fence{}, map[string]bool{}
			continue
		}
		if inv.value.Unread {
			found = append(found, finding{"I2", inv.index, fmt.Sprintf("the fence of %s can't be read", app)})
			continue
		}
		switch {
		case now.Epoch == was.Epoch && now.Sequence < was.Sequence:
			found = append(found, finding{"I2", inv.index, fmt.Sprintf("the fence of %s fell from %d to %d", app, was.Sequence, now.Sequence)})
		case now.Epoch != was.Epoch && left[now.Epoch]:
			found = append(found, finding{"I2", inv.index, fmt.Sprintf("the fence of %s is back in the life %s of the log, which it had left", app, now.Epoch)})
		case was.Epoch != "" && now.Epoch != was.Epoch && !slices.Contains(now.Retired, was.Epoch):
			found = append(found, finding{"I2", inv.index, fmt.Sprintf("the fence of %s left the life %s of the log without remembering it", app, was.Epoch)})
		}
		if was.Epoch != "" && now.Epoch != was.Epoch {
			left[was.Epoch] = true
		}
		was = now
	}
	return found
}
