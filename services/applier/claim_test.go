// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// move is two applications, and an object that moves from the first to the
// second.
type move struct {
	*rig
	commit int
	uid    string
	stop   func()
}

// sameRepository puts an application into the repository of the others.
func sameRepository(d *events.Declaration) { d.Source.Repository = "mono" }

// newMove has converged the applications "from", which declares one and moved,
// and "to", at one commit. The declarations may be changed.
func newMove(t *testing.T, change ...func(*events.Declaration)) *move {
	t.Helper()
	m := &move{rig: newRig(t)}
	m.stop = m.start()
	m.declare("from", change...)
	m.declare("to", change...)
	m.fleet()
	m.nextCommit()
	m.render("from", configMapYAML("one", "1")+configMapYAML("moved", "1"))
	m.render("to", configMapYAML("two", "1"))
	m.await("from", "completed", 1)
	m.await("to", "completed", 1)
	m.uid = string(m.get(configMaps_, "moved").GetUID())
	return m
}

func (m *move) nextCommit() {
	m.commits++
	m.commit = m.commits
}

// render publishes an application's revision of the commit, and its bundle.
func (m *move) render(name, yaml string) events.Event {
	m.Helper()
	c, p := m.observeCommit(name, m.commit)
	return m.publish(c, m.rig.render(p, yaml))
}

// leave publishes the revision in which "from" no longer declares the object,
// and waits until it is applied as far as it can be.
func (m *move) leave() {
	m.Helper()
	m.render("from", configMapYAML("one", "2"))
	m.nats.Idle(m, "applier-local")
	data, _, err := nestedMap(m.get(configMaps_, "one"), "data")
	m.must(err)
	if fmt.Sprint(data["key"]) != "2" {
		m.Errorf("what doesn't leave was not applied: %v", data)
	}
	m.stays("from")
}

// stays checks that the object was not deleted, nor made anew.
func (m *move) stays(owner string) {
	m.Helper()
	now := m.get(configMaps_, "moved")
	if now == nil || string(now.GetUID()) != m.uid {
		m.Fatalf("the moved object was deleted: %v%s", now, m.story("from"))
	}
	if got := now.GetLabels()[manifest.LabelApplication]; got != owner {
		m.Errorf("it belongs to %s, not to %s", got, owner)
	}
}

// arrives waits until "to" has converged with the object.
func (m *move) arrives(completed int) {
	m.Helper()
	m.await("to", "completed", completed)
	m.stays("to")
	if failed := m.events("to", "failed"); len(failed) > 0 {
		m.Errorf("a move is no failure:%s", m.story("to"))
	}
	left := m.applied("from", 2)
	if left.Counts != (events.Counts{Configured: 1}) {
		m.Errorf("%+v%s", left.Counts, m.story("from"))
	}
	m.eventually("it is out of the inventory that it was in", func() bool {
		inv, _ := m.inventory("from")
		return len(inv.Entries) == 1 && inv.Fence.Applied
	})
}

var arrived = configMapYAML("two", "1") + configMapYAML("moved", "1")

func TestAnObjectThatMovesInOneCommitIsNotDeleted(t *testing.T) {
	t.Run("before the other's revision is observed", func(t *testing.T) {
		m := newMove(t, sameRepository)
		m.nextCommit()
		m.leave()
		m.render("to", arrived)
		m.arrives(2)
		if held := m.events("from", "held"); len(held) > 0 {
			t.Errorf("a moment's wait was said:%s", m.story("from"))
		}
	})
	t.Run("before the other's revision is rendered, in another repository", func(t *testing.T) {
		m := newMove(t)
		c, p := m.observe("to")
		m.nextCommit()
		m.leave()
		m.publish(c, m.rig.render(p, arrived))
		m.arrives(2)
	})
	t.Run("to an application that is new", func(t *testing.T) {
		m := newMove(t, sameRepository)
		m.declare("new", sameRepository)
		m.fleet()
		m.nextCommit()
		m.render("to", configMapYAML("two", "1"))
		m.leave()
		m.render("new", configMapYAML("moved", "1"))
		m.await("new", "completed", 1)
		m.stays("new")
	})
	t.Run("right after a restart", func(t *testing.T) {
		m := newMove(t, sameRepository)
		m.stop()
		m.nextCommit()
		c, p := m.observeCommit("to", m.commit)
		from := m.render("from", configMapYAML("one", "2"))
		m.start()
		m.eventually("the new revision is begun", func() bool {
			inv, _ := m.inventory("from")
			return inv.Fence.Sequence == from.Sequence
		})
		m.nats.Idle(m, "applier-local")
		m.stays("from")
		m.publish(c, m.rig.render(p, arrived))
		m.arrives(2)
	})
	t.Run("to an application that is only observed", func(t *testing.T) {
		m := newMove(t, sameRepository)
		m.declare("to", sameRepository, func(d *events.Declaration) { d.Converge.Mode = events.ModeObserve })
		m.fleet()
		m.nextCommit()
		m.leave()
		m.render("to", arrived)
		m.applied("from", 2)
		m.stays("from") // by its label; nobody writes it
		if inv, _ := m.inventory("from"); len(inv.Entries) != 1 {
			t.Errorf("%+v", inv)
		}
	})
	t.Run("with its application, which is withdrawn", func(t *testing.T) {
		m := newMove(t)
		c, p := m.observe("to")
		delete(m.declared, "from")
		m.fleet()
		m.sync()
		m.nats.Idle(m, "applier-local")
		m.stays("from")
		m.publish(c, m.rig.render(p, arrived+configMapYAML("one", "1")))
		if gone := m.withdrawn("from", 1); gone.Outcome != events.ActionPassed {
			t.Errorf("%+v", gone)
		}
		m.await("to", "completed", 2)
		m.stays("to")
	})
}

// A revision that waits without a word is overtaken by one that leads back to
// where its application stands, too, for which there is nothing to do.
func TestTheWayBackOvertakesARevisionThatWaits(t *testing.T) {
	m := newMove(t, sameRepository)
	m.nextCommit()
	waits := m.render("to", arrived)
	m.nats.Idle(m, "applier-local")
	m.nextCommit()
	c, p := m.observeCommit("to", m.commit)
	back := m.publish(c, &events.ManifestsUnchanged{Manifests: m.rig.render(p, configMapYAML("two", "1")).Manifests})
	e := m.await("to", "superseded", 1)
	if by := payload[*events.ConvergenceSuperseded](e).By; e.Sequence != waits.Sequence || by != back.Sequence {
		m.Errorf("%d by %d, want %d by %d%s", e.Sequence, by, waits.Sequence, back.Sequence, m.story("to"))
	}
	m.stays("from")
	m.sync()
	m.nats.Idle(m, "applier-local")
	if n := len(m.events("to", "superseded")); n != 1 {
		m.Errorf("said %d times:%s", n, m.story("to"))
	}
}

func TestWhatAnApplicationKeepsPassesToTheOneThatDeclaresIt(t *testing.T) {
	for name, change := range map[string]func(*events.Declaration){
		"behind a guard": func(*events.Declaration) {},
		"with prune off": func(d *events.Declaration) { d.Converge.Prune = false },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMove(t, change)
			m.nextCommit()
			m.render("from", manyConfigMaps(6, "1")+configMapYAML("moved", "1"))
			m.applied("from", 2)
			m.nextCommit()
			m.render("from", configMapYAML("c00", "1"))
			m.applied("from", 3)
			m.nats.Idle(m, "applier-local")
			m.nextCommit()
			m.render("to", arrived)
			m.await("to", "completed", 2)
			m.stays("to")
			m.eventually("it is out of the inventory of the one that kept it", func() bool {
				inv, _ := m.inventory("from")
				_, there := inv.Entries["/ConfigMap/"+m.namespace+"/moved"]
				return !there && len(inv.Entries) > 1
			})
		})
	}
}

func TestADeletionThatWaitsForAnotherApplicationIsSaid(t *testing.T) {
	held := func(m *move, n int) *events.ConvergenceHeld {
		h := payload[*events.ConvergenceHeld](m.await("from", "held", n))
		if h.Reason != events.ReasonClaimUnknown || !strings.Contains(h.Message, "application to ") || h.Objects.Count != 1 {
			m.Errorf("%+v", h)
		}
		return h
	}
	t.Run("when it takes long", func(t *testing.T) {
		m := newMove(t, sameRepository)
		m.stop()
		m.patience = time.Millisecond
		stop := m.start()
		m.nextCommit()
		m.leave()
		held(m, 1)
		m.applied("from", 2)
		stop() // who comes after doesn't say it again
		m.start()
		m.sync()
		m.nats.Idle(m, "applier-local")
		m.render("to", arrived)
		m.await("to", "completed", 2)
		m.stays("to")
		if n := len(m.events("from", "held")); n != 1 {
			t.Errorf("said %d times:%s", n, m.story("from"))
		}
	})
	t.Run("when the other doesn't render the commit, and goes on by itself", func(t *testing.T) {
		m := newMove(t, sameRepository)
		m.nextCommit()
		m.fail("to")
		m.leave()
		held(m, 1)
		m.nextCommit()
		m.render("to", arrived)
		m.await("to", "completed", 2)
		m.stays("to")
	})
	t.Run("and an approval lets it go", func(t *testing.T) {
		m := newMove(t, sameRepository)
		m.nextCommit()
		m.fail("to")
		m.leave()
		m.approve("from", held(m, 1).Hold)
		m.eventually("it is deleted", func() bool { return m.get(configMaps_, "moved") == nil })
		if pruned := m.applied("from", 3); pruned.Counts.Pruned != 1 {
			t.Errorf("%+v", pruned.Counts)
		}
	})
	t.Run("the approval of a guard doesn't let it go", func(t *testing.T) {
		m := newMove(t, sameRepository)
		m.nextCommit()
		m.render("to", configMapYAML("two", "1"))
		m.render("from", manyConfigMaps(6, "1")+configMapYAML("moved", "1"))
		m.applied("from", 2)
		m.nextCommit()
		m.render("from", configMapYAML("one", "2"))
		guarded := payload[*events.ConvergenceHeld](m.await("from", "held", 1))
		if guarded.Reason != events.ReasonPruneGuard {
			t.Fatalf("%+v", guarded)
		}
		m.approve("from", guarded.Hold)
		m.nats.Idle(m, "applier-local")
		m.stays("from")
		m.render("to", arrived)
		m.await("to", "completed", 3)
		m.stays("to")
		m.eventually("what nobody claims is deleted", func() bool { return m.get(configMaps_, "c00") == nil })
	})
	t.Run("and of one that a newer one overtakes meanwhile it is said", func(t *testing.T) {
		m := newMove(t, sameRepository)
		m.nextCommit()
		m.leave()
		m.nextCommit()
		newest := m.render("from", configMapYAML("one", "3"))
		superseded := payload[*events.ConvergenceSuperseded](m.await("from", "superseded", 1))
		if superseded.By != newest.Sequence || superseded.Revision.Commit == "" {
			m.Errorf("got %+v", superseded)
		}
		m.render("to", arrived)
		m.await("to", "completed", 2)
		m.applied("from", 2)
		m.nextCommit()
		m.render("from", configMapYAML("one", "4"))
		m.applied("from", 3)
		if n := len(m.events("from", "superseded")); n != 1 {
			t.Errorf("said %d times:%s", n, m.story("from"))
		}
	})
	t.Run("one of another repository that doesn't render holds nobody", func(t *testing.T) {
		m := newMove(t)
		m.fail("to")
		m.nextCommit()
		m.render("from", configMapYAML("one", "2"))
		if pruned := m.applied("from", 2); pruned.Counts != (events.Counts{Configured: 1, Pruned: 1}) {
			t.Errorf("%+v", pruned.Counts)
		}
	})
}

// An application that was never rendered holds only those that get the same
// commits, and not for a moment where its declaration says nothing.
func TestWhoWasNeverRenderedHoldsNobodyElse(t *testing.T) {
	brief := func(t *testing.T, change ...func(*events.Declaration)) *move {
		m := newMove(t, change...)
		m.stop()
		m.patience = time.Second
		m.start()
		return m
	}
	pruned := func(m *move) {
		m.Helper()
		m.nextCommit()
		m.render("to", configMapYAML("two", "2"))
		m.render("from", configMapYAML("one", "2"))
		if p := m.applied("from", 2); p.Counts != (events.Counts{Configured: 1, Pruned: 1}) {
			m.Errorf("%+v%s", p.Counts, m.story("from"))
		}
		if held := m.events("from", "held"); len(held) > 0 {
			m.Errorf("it was held:%s", m.story("from"))
		}
	}
	t.Run("another repository, of which nothing is observed", func(t *testing.T) {
		m := brief(t, sameRepository)
		m.declare("never")
		m.fleet()
		pruned(m)
	})
	t.Run("another branch of the same repository", func(t *testing.T) {
		m := brief(t, sameRepository)
		m.declare("never", sameRepository, func(d *events.Declaration) { d.Source.Branch = "missing" })
		m.fleet()
		pruned(m)
	})
	t.Run("a declaration that was never valid", func(t *testing.T) {
		m := newMove(t, sameRepository)
		m.invalid = []string{"never"}
		m.fleet()
		pruned(m)
	})
	t.Run("but the same branch", func(t *testing.T) {
		m := brief(t, sameRepository)
		m.declare("never", sameRepository)
		m.fleet()
		m.nextCommit()
		m.render("to", configMapYAML("two", "2"))
		m.leave()
		if h := payload[*events.ConvergenceHeld](m.await("from", "held", 1)); h.Reason != events.ReasonClaimUnknown || !strings.Contains(h.Message, "application never ") {
			t.Errorf("%+v", h)
		}
		m.stays("from")
	})
}

// fail publishes an application's revision of the commit, and that it doesn't
// render.
func (m *move) fail(name string) {
	m.Helper()
	c, p := m.observeCommit(name, m.commit)
	m.publish(c, &events.RenderFailed{Revision: p.Revision, Declaration: p.Declaration, Reason: events.ReasonSyntax, Message: "broken"})
}

// What passes to an application that can't take it yet, and then no longer
// declares it, is nobody's in Git: it goes.
func TestWhatWasPassedOnAndNeverTakenGoes(t *testing.T) {
	m := newMove(t, sameRepository)
	m.nextCommit()
	m.render("to", arrived+"---\napiVersion: nowhere.example.com/v1\nkind: Nothing\nmetadata: {name: nothing}\n")
	m.render("from", configMapYAML("one", "2"))
	m.applied("from", 2)
	m.await("to", "failed", 1)
	m.nats.Idle(m, "applier-local")
	m.nextCommit()
	m.render("to", configMapYAML("two", "2"))
	m.render("from", configMapYAML("one", "3"))
	m.await("to", "completed", 2)
	m.nats.Idle(m, "applier-local")
	m.sync()
	m.nats.Idle(m, "applier-local")
	m.eventually("it is deleted", func() bool { return m.get(configMaps_, "moved") == nil })
}

// What is offered to an application that is about to take it, and whose next
// commit doesn't render, is taken by nobody: its deletion waits, and people are
// told, as of anything else that the broken commit may declare.
func TestWhatIsOfferedToAnApplicationThatBreaksWaits(t *testing.T) {
	m := newMove(t, sameRepository)
	m.nextCommit()
	c, p := m.observeCommit("from", m.commit)
	m.render("to", arrived) // which waits for the other
	m.nats.Idle(m, "applier-local")
	m.nextCommit()
	m.fail("to")
	m.publish(c, m.rig.render(p, configMapYAML("one", "2")))
	m.render("from", configMapYAML("one", "2"))
	held := payload[*events.ConvergenceHeld](m.await("from", "held", 1))
	if held.Reason != events.ReasonClaimUnknown || !strings.Contains(held.Message, "its newest one doesn't render") {
		t.Errorf("%+v", held)
	}
	m.await("to", "superseded", 1)
	m.stays("from")

	m.nextCommit()
	m.render("to", arrived)
	m.await("to", "completed", 2)
	m.stays("to")
	m.eventually("it is out of the inventory that it was in", func() bool {
		inv, _ := m.inventory("from")
		return len(inv.Entries) == 1 && inv.Fence.Applied
	})
}

func TestWhatAWithdrawnApplicationPassesOnIsKeptUntilItIsTaken(t *testing.T) {
	start := func(t *testing.T) *move {
		m := newMove(t)
		m.nextCommit()
		m.render("to", arrived+"---\napiVersion: nowhere.example.com/v1\nkind: Nothing\nmetadata: {name: nothing}\n")
		m.await("to", "failed", 1)
		delete(m.declared, "from")
		m.fleet()
		held := m.withdrawn("from", 1)
		if held.Outcome != events.ActionHeld || !strings.Contains(held.Message, "application to ") {
			t.Errorf("%+v", held)
		}
		if _, found := m.inventory("from"); !found {
			t.Error("nobody holds it")
		}
		m.stays("from")
		if m.get(configMaps_, "one") != nil {
			t.Error("what nobody declares stays")
		}
		m.nextCommit()
		return m
	}
	t.Run("it is never taken, and no longer declared", func(t *testing.T) {
		m := start(t)
		m.render("to", configMapYAML("two", "2"))
		if gone := m.withdrawn("from", 2); gone.Outcome != events.ActionPruned || gone.Objects.Count != 2 {
			t.Errorf("%+v", gone)
		}
		if m.get(configMaps_, "moved") != nil {
			t.Error("it is nobody's, and there")
		}
		m.noInventory("from")
	})
	t.Run("it is taken", func(t *testing.T) {
		m := start(t)
		m.render("to", arrived)
		m.await("to", "completed", 2)
		m.stays("to")
		if gone := m.withdrawn("from", 2); gone.Outcome != events.ActionPruned || gone.Objects.Count != 2 {
			t.Errorf("%+v", gone)
		}
		m.noInventory("from")
		m.stays("to")
	})
}
