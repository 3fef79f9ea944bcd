// SPDX-License-Identifier: Apache-2.0

package applier

import "context"

// nothingToDo says that a task leads to where its application stands,
// undisturbed. That is so whether a newer revision came or not, and nothing is
// written or said of it, but of those that it overtakes: so the log isn't asked
// first.
func (a *applier) nothingToDo(ctx context.Context, t *task, inv Inventory) (bool, error) {
	f := inv.Fence
	if f.Digest != t.m.Digest || f.Declaration != t.m.DeclarationDigest || f.Epoch != t.event.Epoch {
		return false, nil
	}
	if a.knownFleet() == nil || a.withdrawnBy(t.app.name, t.event) {
		return false, nil
	}
	if err := a.recall(ctx, t, inv); err != nil {
		return false, err
	}
	if err := a.watchEntries(ctx, inv); err != nil {
		return false, err
	}
	if !a.undisturbed(t, inv) {
		return false, nil
	}
	t.app.stays()
	t.admission = Admission{OK: true} // so that what waits behind it is overtaken
	t.app.current = &t.event
	t.app.expectEntries(inv)
	a.claimConverged(t.app, t.event, inv)
	a.lookAtHealth(t.app.name)
	return true, nil
}

// undisturbed says that an application has converged to exactly this and that
// nothing of it was touched since: then there is nothing to do and nothing to
// say, and no request was sent to know it.
func (a *applier) undisturbed(t *task, inv Inventory) bool {
	f := inv.Fence
	if inv.Kept != keptPolicy(t.m.Declaration) {
		return false
	}
	if !f.Applied || !f.Compared || f.Epoch != t.event.Epoch || f.Digest != t.m.Digest || f.Declaration != t.m.DeclarationDigest {
		return false
	}
	if t.hold != "" || len(t.app.forgotten) > 0 || t.app.doubt.Load() {
		return false
	}
	if t.recovers(f) || t.app.unsaid || t.app.saidFailure != "" || t.untold() || a.taken(t.app, inv) {
		return false
	}
	for _, e := range inv.Entries {
		if e.Released != "" || e.Awaiting || e.Offered != "" || e.Held && t.app.saidHold == "" {
			return false
		}
		s, ok := a.observer.get(e.Object)
		if !ok || s.Deleting || s.Application != t.app.name || e.UID == "" || s.UID != e.UID || s.Fields == "" ||
			s.Fields != e.Fields || s.Digest != e.Digest {
			return false
		}
	}
	return true
}

// recovers says that a bundle which is converged already ends a failure to
// render: the fence moves on to it, and that is said.
func (t *task) recovers(f Fence) bool {
	return t.event.Type == typeRendered && t.event.Epoch == f.Epoch && t.event.Sequence > f.Sequence
}
