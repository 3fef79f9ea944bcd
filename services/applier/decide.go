// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// decide plans how live becomes desired. Live holds every object that desired
// or memory names and that exists, by object key. It is pure: equal input,
// equal plan, whatever the order of desired.Objects.
//
// A revision must have been admitted by the fence (see [Fence.Admit]) before.
func decide(desired Desired, live map[string]Live, memory Memory, policy Policy, now time.Time) Plan {
	plan := Plan{Application: desired.Application, Digest: desired.Digest}
	targets := slices.Clone(desired.Objects)
	slices.SortFunc(targets, func(a, b Target) int { return compareApply(a.Object, b.Object) })

	declared := make(map[string]bool, len(targets))
	for i := range targets {
		t := &targets[i]
		declared[t.Key()] = true
		l, exists := live[t.Key()]
		if exists && l.Owner != "" && l.Owner != desired.Application {
			plan.Refused = append(plan.Refused, refuseForeign(*t, l.Owner))
			continue
		}
		plan.Steps = append(plan.Steps, decideTarget(desired, t, l, exists, memory, policy, now))
	}
	if len(plan.Refused) > 0 {
		plan.Steps = nil
		return plan
	}
	leaving := make([]Entry, 0, len(memory.Entries))
	for key, e := range memory.Entries {
		if !declared[key] {
			leaving = append(leaving, e)
		}
	}
	slices.SortFunc(leaving, func(a, b Entry) int { return -compareApply(a.Object, b.Object) })
	decideLeaving(&plan, desired, leaving, live, memory, policy)
	return plan
}

func refuseForeign(t Target, owner string) Refusal {
	return Refusal{Target: t, Owner: owner, Reason: events.ReasonOwnedByOther, Message: fmt.Sprintf(
		"%s belongs to the application %s. Declare it in one of the two, or remove it from %s first", t.Object, owner, owner)}
}

// decideTarget plans one declared object.
func decideTarget(desired Desired, t *Target, l Live, exists bool, memory Memory, policy Policy, now time.Time) Step {
	s := Step{Object: t.Object, Phase: phaseOf(t.Object), Target: t}
	entry, known := memory.Entries[t.Key()]
	if exists {
		s.UID, s.ResourceVersion = l.UID, l.ResourceVersion
		s.Left = leftOut(t.Ignored, t.Body, l.Others)
	}
	// The same declaration was applied before: whatever differs is someone
	// else's doing, and the policy says whether it is put right.
	same := known && entry.Digest == t.Digest && desired.Digest == memory.Fence.Digest &&
		desired.Declaration == memory.Fence.Declaration && memory.Fence.Applied
	switch {
	case exists && l.Deleting:
		s.Op, s.Why = OpWait, "it is being deleted"
		return s
	case exists && l.Owner == "":
		s.Op, s.Why = OpAdopt, "it exists, and no application owns it"
		if known {
			s.Op, s.Why = OpUpdate, "our label is gone"
		}
	case !exists:
		s.Op, s.Why = OpCreate, "it doesn't exist"
	default:
		s.Op, s.Why = OpUpdate, difference(t, l, entry, known, s.Left, memory)
		if s.Why == "" {
			s.Op = OpKeep
			return s
		}
	}
	if until, ok := memory.Contended[t.Key()]; ok && same && now.Before(until) {
		s.Op, s.Why = OpKeep, "someone else keeps writing it: left alone for now"
	}
	if same && !policy.Heal {
		s.Op, s.Why = OpKeep, "it was changed by someone else, and healing is off"
	}
	return s
}

// difference says why a live object of ours must be written, or "".
//
// Three things together show that nobody has touched it since the API server
// accepted it: the uid, our entry in managedFields, which loses every path
// that another manager writes, and the annotation, which tells two of our own
// writes apart.
func difference(t *Target, l Live, entry Entry, known bool, left []string, memory Memory) string {
	switch {
	case memory.Forgotten[t.Key()]:
		return "a divergence of it was reported"
	case !known || entry.Digest == "":
		return "what was applied to it is not known"
	case entry.Digest != t.Digest:
		return "Git declares it anew"
	case l.UID != entry.UID:
		return "it was deleted and created again"
	case l.Digest != t.Digest:
		return "someone applied another version of it"
	case l.Fields == "" || l.Fields != entry.Fields:
		return "someone else wrote a field of ours"
	case !slices.Equal(left, entry.Left):
		return "the ignored fields have changed"
	}
	return ""
}

// decideLeaving plans what the inventory holds and the bundle lacks.
func decideLeaving(plan *Plan, desired Desired, leaving []Entry, live map[string]Live, memory Memory, policy Policy) {
	var going []int // steps that delete
	kept := declaredUIDs(plan.Steps)
	held, released, waived, told := false, true, true, false
	for _, e := range leaving {
		l, exists := live[e.Key()]
		s := Step{Object: e.Object, Phase: phaseOf(e.Object), UID: l.UID, ResourceVersion: l.ResourceVersion}
		s.Op, s.Why = leave(e, l, exists, desired, memory, policy)
		if s.Op == OpDelete && kept[l.UID] {
			s.Op, s.Why = OpForget, "it is declared under another API group"
		}
		if s.Op == OpDelete {
			going = append(going, len(plan.Steps))
			held = held || e.Held && e.Released != desired.Digest
			released = released && e.Released == desired.Digest
			waived = waived && e.Waived == desired.Digest
			told = told || e.Awaiting
		}
		if s.Why == whyLocked {
			plan.Locked = true
		}
		if s.Op == OpPass || s.Op == OpOffer {
			s.To = policy.Claimed[e.Key()]
			s.Stands = e.Offered == s.To
		}
		plan.Steps = append(plan.Steps, s)
	}
	if len(going) == 0 {
		return
	}
	objs := make([]events.Object, len(going))
	for i, n := range going {
		objs[i] = plan.Steps[n].Object
	}
	switch hold := guard(memory, objs, held); {
	case hold != nil && !released:
		hold.Digest, plan.Hold = holdDigest(desired.Digest, objs), hold
	case policy.Awaited != nil && !waived:
		w := *policy.Awaited
		w.Said = w.Said || told
		plan.Awaited = &w
		plan.Hold = &Hold{
			Digest: holdDigest("unclaimed "+desired.Digest, objs), Reason: events.ReasonClaimUnknown,
			Message: w.describe(objs), Objects: objs,
		}
	default:
		return
	}
	for _, n := range going {
		plan.Steps[n].Op, plan.Steps[n].Why = OpHold, string(plan.Hold.Reason)
	}
}

// guard is the guard that stands before a deletion, or nil. Held says that one
// stood there at an earlier revision.
func guard(memory Memory, going []events.Object, held bool) *Hold {
	reason, message := guardPrune(owned(memory.Entries), going)
	if reason == "" && held {
		reason = events.ReasonPruneGuard
		message = fmt.Sprintf("the deletion of %s since an earlier revision. Approve it, or declare them again",
			objects(len(going), "waits", "waits"))
	}
	if reason == "" {
		return nil
	}
	return &Hold{Reason: reason, Message: message, Objects: going}
}

// declaredUIDs are the uids of the live objects that are declared: one object
// may be served by several API groups, and so be known under several keys.
func declaredUIDs(steps []Step) map[string]bool {
	uids := map[string]bool{}
	for _, s := range steps {
		if s.Target != nil && s.UID != "" {
			uids[s.UID] = true
		}
	}
	return uids
}

const whyLocked = "nothing is pruned before one full compare"

// leave decides what becomes of one object that is no longer declared.
func leave(e Entry, l Live, exists bool, desired Desired, memory Memory, policy Policy) (Op, string) {
	older := desired.Order.Epoch == memory.Fence.Epoch && desired.Order.Sequence < memory.Fence.Sequence
	switch {
	case !desired.Complete || older:
		return OpKeep, "the bundle isn't whole, or not the newest"
	case !exists:
		return OpForget, "it is gone"
	case policy.Claimed[e.Key()] != "":
		to := policy.Claimed[e.Key()]
		if l.Owner == desired.Application && !policy.Observers[to] {
			return OpOffer, to + " declares it now, and hasn't taken it yet"
		}
		return OpPass, to + " declares it now"
	case l.Owner != desired.Application:
		return OpOrphan, "it no longer carries our label"
	case !policy.Prune:
		return OpKeep, "prune is off"
	case !memory.Fence.Compared || desired.Order.Epoch != memory.Fence.Epoch:
		return OpKeep, whyLocked
	case l.Deleting:
		return OpWait, "it is being deleted"
	}
	return OpDelete, "Git no longer declares it"
}

// owned counts the objects that were applied: not those that the inventory
// was only widened by.
func owned(entries map[string]Entry) int {
	n := 0
	for _, e := range entries {
		if e.UID != "" {
			n++
		}
	}
	return n
}

// compareApply is the order of applying: phase, then Namespaces before CRDs,
// then key.
func compareApply(a, b events.Object) int {
	return cmp.Or(cmp.Compare(phaseOf(a), phaseOf(b)), cmp.Compare(groupKind(a), groupKind(b)), cmp.Compare(a.Key(), b.Key()))
}
