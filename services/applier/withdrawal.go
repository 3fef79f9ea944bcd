// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"maps"
	"slices"

	"github.com/plumbline-dev/plumbline/events"
)

// withdrawal is an inventory whose application a list lacks.
type withdrawal struct {
	Inventory
	Reason  events.Reason // why it is held; empty: it isn't
	Message string
	// Unproven is an application that wasn't compared in the list's life of the
	// log, where the inventory is of another life; empty: the list counts.
	Unproven string
}

// decideWithdrawals finds the inventories that a list lacks and holds them all
// where they are too many at once; those that only have to be said are no more
// than that. An inventory that knows a newer revision
// than the list stays. It is pure.
//
// A list of another life of the log proves nothing by itself: nothing is
// withdrawn by it before every application that it names, and that has an
// inventory, was compared in that life, or somebody approves.
func decideWithdrawals(f fleetList, inventories []Inventory) []withdrawal {
	var gone, finished []withdrawal
	unproven := ""
	for _, inv := range inventories {
		sameLog := inv.Fence.Epoch == f.epoch
		if f.has(inv.Application) {
			if proven := sameLog && inv.Fence.Compared || f.entries[inv.Application].Held || inv.Kept.Mode == events.ModeObserve; !proven && (unproven == "" || inv.Application < unproven) {
				unproven = inv.Application
			}
			continue
		}
		if inv.Kept.Finished != nil {
			finished = append(finished, withdrawal{Inventory: inv})
			continue
		}
		if sameLog && inv.Fence.Sequence > f.stored || slices.Contains(inv.Fence.Retired, f.epoch) {
			continue
		}
		gone = append(gone, withdrawal{Inventory: inv})
	}
	reason, message := guardFleet(len(inventories)-len(finished), len(gone))
	for i := range gone {
		gone[i].Reason, gone[i].Message = reason, message
		if gone[i].Fence.Epoch != f.epoch {
			gone[i].Unproven = unproven
		}
	}
	return append(gone, finished...)
}

// waits says that the list doesn't count for a withdrawal yet, and that nobody
// has let it go.
func (w withdrawal) waits(approved string) bool {
	if w.Unproven == "" || approved == w.holdOf() {
		return false
	}
	held := func(e Entry) bool { return !w.released(e) }
	return len(w.Entries) == 0 || slices.ContainsFunc(slices.Collect(maps.Values(w.Entries)), held)
}

// withdrawalPolicy is what a withdrawal heeds beside what is there.
type withdrawalPolicy struct {
	labels    map[string]string // the application that each live object's label names
	claimed   map[string]string // the other application that declares an object now
	observers map[string]bool   // applications that write nothing
	approved  string            // digest of what may go
}

// planWithdrawal decides what becomes of the objects of a withdrawn
// application. What would be deleted and another one declares is kept until
// that one has taken it: it may never be able to, and no longer declare it.
func planWithdrawal(w withdrawal, live map[string]Live, policy withdrawalPolicy) Plan {
	plan := Plan{Application: w.Application, Digest: w.Fence.Digest}
	var going []events.Object // and not let go yet
	hold := w.holdOf()
	for _, e := range sortedEntries(w.Entries) {
		l, exists := live[e.Key()]
		s := Step{Object: e.Object, Phase: phaseOf(e.Object), UID: l.UID, ResourceVersion: l.ResourceVersion}
		label, to := policy.labels[e.Key()], policy.claimed[e.Key()]
		released := policy.approved == hold || w.released(e)
		switch {
		case !exists:
			s.Op, s.Why = OpForget, "it is gone"
		case label != "" && label != w.Application:
			s.Op, s.Why, s.To = OpPass, label+" declares it now", label
		case to != "" && label == w.Application && w.Kept.Deletes() && !policy.observers[to]:
			s.Op, s.Why, s.To = OpOffer, to+" declares it now, and hasn't taken it yet", to
		case to != "":
			s.Op, s.Why, s.To = OpPass, to+" declares it now", to
		case label == "":
			s.Op, s.Why = OpOrphan, "it no longer carries our label"
		case !w.Kept.Deletes():
			s.Op, s.Why = OpOrphan, "the application's policy keeps it"
			if w.Reason != "" && !released { // else it would count no more against those that are deleted
				going = append(going, s.Object)
			}
		case l.Deleting:
			s.Op, s.Why = OpWait, "it is being deleted"
		default:
			s.Op, s.Why = OpDelete, "its application is no longer declared"
			if !released {
				going = append(going, s.Object)
			}
		}
		plan.Steps = append(plan.Steps, s)
	}
	if len(going) == 0 {
		return plan
	}
	reason, message := w.Reason, w.Message
	if reason == "" {
		reason, message = guardPrune(0, going)
	}
	if reason == "" && w.Kept.Withheld {
		reason, message = events.ReasonWithdrawalGuard, "its withdrawal was held before. Approve it, or declare the application again"
	}
	if reason == "" {
		return plan
	}
	for i := range plan.Steps {
		if s := plan.Steps[i]; (s.Op == OpDelete || s.Op == OpOrphan) && slices.Contains(going, s.Object) {
			plan.Steps[i].Op, plan.Steps[i].Why = OpHold, string(reason)
		}
	}
	plan.Hold = &Hold{Digest: hold, Reason: reason, Message: message, Objects: going}
	return plan
}

func sortedEntries(entries map[string]Entry) []Entry {
	list := make([]Entry, 0, len(entries))
	for _, e := range entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Entry) int { return -compareApply(a.Object, b.Object) })
	return list
}

// mark is what says of an object of the inventory that its withdrawal was let
// go.
func (w withdrawal) mark() string {
	return holdDigest("withdrawn "+w.Application+" "+w.Fence.Digest, nil)
}

func (w withdrawal) released(e Entry) bool { return e.Released == w.mark() }

// holdOf is the digest under which people let go of all that isn't yet.
func (w withdrawal) holdOf() string {
	var objs []events.Object
	for _, e := range w.Entries {
		if !w.released(e) {
			objs = append(objs, e.Object)
		}
	}
	return holdDigest("withdrawn "+w.Application+" "+w.Fence.Digest, objs)
}

// unreleased says that a plan deletes what wasn't let go yet.
func (w withdrawal) unreleased(plan Plan) bool {
	return slices.ContainsFunc(plan.Steps, func(s Step) bool { return s.Op == OpDelete && !w.released(w.Entries[s.Key()]) })
}

// release marks what a plan lets go, so that no guard stands before the rest
// of it: all but what is offered to another application.
func (w withdrawal) release(plan Plan) Inventory {
	inv, mark := w.Inventory, w.mark()
	inv.Entries = maps.Clone(inv.Entries)
	for _, s := range plan.Steps {
		if e := inv.Entries[s.Key()]; s.Op != OpOffer {
			e.Released = mark
			inv.Entries[s.Key()] = e
		}
	}
	inv.Kept.Withheld = false
	return inv
}
