// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"slices"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// undeclare plays the watcher: the fleet's list lacks the application.
func (a *app) undeclare() {
	a.t.Helper()
	a.fleet = slices.DeleteFunc(a.fleet, func(name string) bool { return name == a.declaration.Application })
	a.publishFleet()
}

// withdrawn plays the applier: it says what became of the application.
func (a *app) withdrawn(outcome events.Action) {
	a.t.Helper()
	a.next(&events.ApplicationWithdrawn{Outcome: outcome, Fleet: "f"}, a.applier)
}

// declareBroken declares the application again, while its newest commit can't
// be rendered.
func (a *app) declareBroken() {
	a.t.Helper()
	a.fleet = append(a.fleet, a.declaration.Application)
	a.publishFleet()
	a.commit()
	a.next(&events.RenderFailed{Revision: a.rev(), Declaration: a.declaration, Reason: events.ReasonSyntax, Message: "no"}, a.renderer)
}

// TestDeclaredAgainWhileBroken has an application withdrawn, and declared again
// with a commit that can't be rendered: what was applied before is no
// declaration any more, for an auditor that ran all the while or for one that
// reads all of it from the log.
func TestDeclaredAgainWhileBroken(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		name := map[bool]string{false: "running", true: "restarted"}[restarted]
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			stop := r.audit()
			a := r.app("again-" + name)
			documents := []string{configMap("one", "k", "v"), configMap("two", "k", "v")}
			a.converge(documents...)
			a.quiet("")
			if restarted {
				stop()
			}
			a.undeclare()
			a.delete("one")
			a.delete("two")
			a.withdrawn(events.ActionPruned)
			if !restarted {
				a.quiet("")
			}
			a.declareBroken()
			if restarted {
				r.audit()
			}
			a.quiet("")
			// The commit is mended, and the bundle is the one of before: until it
			// is applied, what it declares is on its way.
			a.converge0()
			a.quiet("")
			a.apply()
			a.quiet("")
			a.delete("one")
			a.hears("detected ConfigMap/one deleted")
		})
	}
}

// TestOrphanedAndDeclaredAgainWhileBroken changes what a withdrawal left alone:
// nothing declares it.
func TestOrphanedAndDeclaredAgainWhileBroken(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		name := map[bool]string{false: "running", true: "restarted"}[restarted]
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			stop := r.audit()
			a := r.app("orphaned-" + name)
			a.converge(configMap("one", "k", "v"))
			a.quiet("")
			if restarted {
				stop()
			}
			a.undeclare()
			a.withdrawn(events.ActionOrphaned)
			a.declareBroken()
			if restarted {
				r.audit()
			}
			a.patch(configMaps, "one", `[{"op":"replace","path":"/data/k","value":"x"}]`)
			a.quiet("")
		})
	}
}

// TestOpenAtAWithdrawal has a divergence end with the withdrawal, once, also
// where the auditor comes to know of it only when the application is declared
// again.
func TestOpenAtAWithdrawal(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		name := map[bool]string{false: "running", true: "restarted"}[restarted]
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			stop := r.audit()
			a := r.app("open-" + name)
			a.converge(configMap("one", "k", "v"))
			a.quiet("")
			a.patch(configMaps, "one", `[{"op":"replace","path":"/data/k","value":"x"}]`)
			told := "detected ConfigMap/one changed"
			all := a.hears(told)
			over := told + ", resolved ConfigMap/one withdrawn"
			if restarted {
				stop()
			}
			a.undeclare()
			if !restarted {
				a.hears(over)
			}
			a.delete("one")
			a.withdrawn(events.ActionPruned)
			a.declareBroken()
			if restarted {
				r.audit()
			}
			ended := a.hears(over)
			if ended[1].CorrelationID != all[0].CorrelationID {
				t.Errorf("correlation %q, want %q", ended[1].CorrelationID, all[0].CorrelationID)
			}
			a.quiet(over)
		})
	}
}

// TestHeldWithdrawalTakesNothingBack: until it is carried out, what was applied
// is what Git declared last.
func TestHeldWithdrawalTakesNothingBack(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		name := map[bool]string{false: "running", true: "restarted"}[restarted]
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			stop := r.audit()
			a := r.app("held-" + name)
			a.converge(configMap("one", "k", "v"), configMap("two", "k", "v"))
			a.quiet("")
			a.undeclare()
			a.withdrawn(events.ActionHeld)
			a.declareBroken()
			a.quiet("")
			if restarted {
				stop()
				a.delete("one")
				r.audit()
				a.hears("detected ConfigMap/one missing")
				return
			}
			// What is told of one shows that the objects are the application's again.
			a.edited("two")
			a.delete("one")
			a.hears("detected ConfigMap/two changed, detected ConfigMap/one deleted")
		})
	}
}

// TestViewBeginsAtTheWithdrawal: what lies before a withdrawal tells nothing of
// how far the application has come, nor does it when it is delivered again.
func TestViewBeginsAtTheWithdrawal(t *testing.T) {
	r := newRig(t)
	a := r.app("life")
	a.converge(configMap("one", "k", "v"))
	conn := r.bus.Connect(t, "auditor-local")
	var v view
	load := func() Progress {
		t.Helper()
		if err := v.load(t.Context(), conn, a.at()); err != nil {
			t.Fatal(err)
		}
		return v.progress()
	}
	if p := load(); !p.settled() {
		t.Fatalf("not settled: %+v", p)
	}
	rendered, _ := v.at("manifests.rendered")
	a.withdrawn(events.ActionPruned)
	if p := load(); p != (Progress{}) {
		t.Errorf("after the withdrawal: %+v", p)
	}
	if m, _ := v.manifests(); !v.take(rendered) || m != nil {
		t.Errorf("declares %+v", m)
	}
	a.declareBroken()
	if p := load(); p.Revision == 0 || p.RenderFailed != p.Revision || p.Rendered.Sequence != 0 || p.settled() {
		t.Errorf("declared again: %+v", p)
	}
	// A later one that is held doesn't bring back what an earlier one has taken.
	a.withdrawn(events.ActionHeld)
	if p := load(); p.Revision == 0 || p.settled() {
		t.Errorf("held: %+v", p)
	}
}

// TestWhatWasOpenEndsByItsPlace: a stall, or a divergence of an object that is
// declared again, of before the withdrawal is over, however live is now.
func TestWhatWasOpenEndsByItsPlace(t *testing.T) {
	app := newApplication("local", "shop")
	app.view.withdrawn = 5
	for last, want := range map[uint64]Transition{4: {Step: Resolve, How: Withdrawn}, 6: {}} {
		for _, state := range []State{Wait, Differs} {
			known := Known{Phase: Persisted, Last: last}
			if got := app.advance(known, Verdict{State: state}, time.Now()); got.Step != want.Step || got.How != want.How {
				t.Errorf("told of at %d: %+v", last, got)
			}
		}
	}
}
