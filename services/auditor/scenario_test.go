// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/compare"
)

var configMaps = gvk("", "v1", "ConfigMap")

func (a *app) delete(name string) {
	a.t.Helper()
	if err := a.client(configMaps, "").Delete(a.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		a.t.Fatal(err)
	}
}

func TestDeletionAndRecreation(t *testing.T) {
	r := newRig(t)
	r.audit()
	a := r.app("gone")
	a.converge(configMap("one", "k", "v"), configMap("two", "k", "v"))
	a.quiet("")
	a.delete("one")
	all := a.hears("detected ConfigMap/one deleted")
	if d := divergenceOf(all[0]); d.Writer != nil || d.Object.Namespace != r.namespace {
		t.Errorf("an absence has no writer: %+v", d)
	}
	a.writeAll()
	a.hears("detected ConfigMap/one deleted, resolved ConfigMap/one healed")
	// Someone else makes it again, with other values: it has come back, and
	// differs; then with those that Git declares.
	a.delete("two")
	a.hears("detected ConfigMap/one deleted, resolved ConfigMap/one healed, detected ConfigMap/two deleted")
	r.applyAs("them", map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "two"}, "data": map[string]any{"k": "other"}})
	a.quiet("detected ConfigMap/one deleted, resolved ConfigMap/one healed, detected ConfigMap/two deleted")
	r.applyAs("them", compare.Stamped(a.bundle.Objects[1].Body, "gone", a.bundle.Objects[1].Digest))
	a.hears("detected ConfigMap/one deleted, resolved ConfigMap/one healed, detected ConfigMap/two deleted, resolved ConfigMap/two reverted")
}

// TestPutRightAndChangedAgainUnseen has the applier put objects right, and
// someone change them again before the auditor has looked: that is another
// divergence, which has to be told, or nobody puts it right.
func TestPutRightAndChangedAgainUnseen(t *testing.T) {
	r := newRig(t)
	for kind, change := range map[string]func(*app){
		"changed": func(a *app) {
			a.patch(configMaps, "changed", `[{"op":"replace","path":"/data/k","value":"x"}]`)
		},
		"deleted": func(a *app) { a.delete("deleted") },
	} {
		t.Run(kind, func(t *testing.T) {
			r.t = t
			stop := r.audit()
			a := r.app("again-" + kind)
			a.converge(configMap(kind, "k", "v"))
			a.quiet("")
			change(a)
			detected := "detected ConfigMap/" + kind + " " + kind
			a.hears(detected)
			stop()

			list := a.writeAll()
			change(a)
			stop = r.audit()
			a.quiet(detected) // the applier has yet to say that it put it right
			a.applied(list...)
			// The auditor began anew, and has not seen the object that is gone.
			story := detected + ", resolved ConfigMap/" + kind + " healed, " + strings.Replace(detected, "/deleted deleted", "/deleted missing", 1)
			all := a.hears(story)
			if first, again := divergenceOf(all[0]), divergenceOf(all[2]); !again.Since.After(first.Since) {
				t.Errorf("again since %s, first since %s", again.Since, first.Since)
			}
			a.quiet(story)
			a.apply()
			all = a.hears(story + ", resolved ConfigMap/" + kind + " healed")
			if told, ended := divergenceOf(all[2]).Message, divergenceOf(all[3]).Message; !strings.HasSuffix(told, nextHeal) || ended != strings.TrimSuffix(told, nextHeal) {
				t.Errorf("told %q, and when it was over %q", told, ended)
			}
			stop()
		})
	}
}

// TestWriterUnderOurName has another process apply under our field manager:
// our entry then looks as it did, and only a comparison of values tells.
func TestWriterUnderOurName(t *testing.T) {
	r := newRig(t)
	r.audit()
	var a *app
	var name string // of it and of its object
	intrude := func() {
		body := compare.Stamped(a.bundle.Objects[0].Body, name, a.bundle.Objects[0].Digest)
		body["data"] = map[string]any{"k": "theirs"}
		r.applyAs("plumbline", body)
	}
	t.Run("within the same second", func(t *testing.T) {
		r.t = t
		var list []events.AppliedObject
		tries := 0
		// Both writes must fall into one second of the API server's clock. Each try
		// is on an application of its own: what an earlier one did is told too.
		bustest.Eventually(t, "two writes in one second", func() bool {
			tries++
			name = fmt.Sprintf("intruded-%d", tries)
			a = r.app(name)
			a.commit()
			a.render(configMap(name, "k", "v"))
			list = a.writeAll()
			written := metaOf(a.get(name)).Ours
			intrude()
			after := metaOf(a.get(name)).Ours
			if after.Fields != written.Fields {
				t.Fatal("the entry shows it: this proves nothing")
			}
			return after.Time.Equal(written.Time)
		})
		a.applied(list...)
		detected := "detected ConfigMap/" + name + " intruded"
		all := a.hears(detected)
		if d := divergenceOf(all[0]); d.Writer == nil || d.Writer.Manager != "plumbline" || d.Fields[0].Live != `"theirs"` {
			t.Errorf("%+v", d)
		}
		a.apply()
		a.hears(detected + ", resolved ConfigMap/" + name + " healed")
	})
	t.Run("later", func(t *testing.T) {
		r.t = t
		settled := metaOf(a.get(name)).Ours.Time
		bustest.Eventually(t, "the next second", func() bool { return time.Now().After(settled.Add(2 * time.Second)) })
		intrude()
		detected := "detected ConfigMap/" + name + " intruded"
		a.hears(detected + ", resolved ConfigMap/" + name + " healed, " + detected)
	})
}

func (a *app) get(name string) metav1.Object {
	a.t.Helper()
	live, err := a.client(configMaps, "").Get(a.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	return live
}

func TestAlertAfterAcrossRestarts(t *testing.T) {
	r := newRig(t)
	var a *app
	var name string // of it and of its object
	var alertAfter time.Duration
	var detected events.Event
	// The auditor must end before it is time to alert: where the machine is too
	// slow for that, another application is given more.
	for alertAfter = 3 * time.Second; ; alertAfter *= 2 {
		name = "slow-" + alertAfter.String()
		a = r.app(name, func(d *events.Declaration) { d.Audit.AlertAfter = events.Duration(alertAfter) })
		stop := r.audit()
		a.converge(configMap(name, "k", "v"))
		a.quiet("")
		a.patch(configMaps, name, `[{"op":"replace","path":"/data/k","value":"x"}]`)
		bustest.Eventually(t, "a divergence", func() bool { return len(a.heard()) > 0 })
		stop()
		all := a.heard()
		detected = all[0]
		if len(all) == 1 {
			break
		}
		if alertAfter > bustest.Timeout/4 {
			t.Fatalf("told within %s of being detected: %d events", alertAfter, len(all))
		}
	}
	told := "detected ConfigMap/" + name + " changed, persisted ConfigMap/" + name + " changed"
	stop := r.audit()
	all := a.hears(told)
	since := divergenceOf(detected).Since
	if d := divergenceOf(all[1]); !d.Since.Equal(since) {
		t.Errorf("since %s, want %s", d.Since, since)
	}
	if after := all[1].StageEnd.Sub(since); after < alertAfter {
		t.Errorf("persisted after %s", after)
	}
	stop()
	a.writeAll()
	r.audit()
	all = a.hears(told + ", resolved ConfigMap/" + name + " healed")
	resolved, ok := all[2].Data.(*events.DivergenceResolved)
	if !ok || !resolved.Persisted || resolved.After.Std() < alertAfter {
		t.Errorf("%+v", all[2].Data)
	}
	for _, e := range all {
		if e.CorrelationID != detected.CorrelationID {
			t.Errorf("%s: correlation %q, want %q", e.Type.Name(), e.CorrelationID, detected.CorrelationID)
		}
	}
}

// TestEditsWhileDown makes every kind of change while the auditor is down.
func TestEditsWhileDown(t *testing.T) {
	r := newRig(t)
	a := r.app("down")
	a.converge(configMap("changed", "k", "v"), configMap("deleted", "k", "v"), configMap("kept", "k", "v"), configMap("renamed", "k", "v"))
	r.patch(configMaps, "changed", `[{"op":"replace","path":"/data/k","value":"x"}]`)
	r.patch(configMaps, "kept", `[{"op":"add","path":"/data/theirs","value":"x"}]`)
	r.patch(configMaps, "renamed", `[{"op":"remove","path":"/metadata/labels/plumbline.dev~1application"}]`)
	a.delete("deleted")
	since := time.Now()
	r.audit()
	want := map[string]events.DivergenceKind{"changed": events.DivergenceChanged, "deleted": events.DivergenceMissing, "renamed": events.DivergenceRemoved}
	bustest.Eventually(t, "three divergences", func() bool { return len(a.heard()) >= len(want) })
	for _, e := range a.heard() {
		d := divergenceOf(e)
		if want[d.Object.Name] != d.Kind {
			t.Errorf("%s is %s", d.Object.Name, d.Kind)
		}
		delete(want, d.Object.Name)
	}
	if len(want) > 0 {
		t.Errorf("not detected: %v", want)
	}
	t.Logf("from start to all detected: %s", time.Since(since))
}

func TestIgnoreRules(t *testing.T) {
	r := newRig(t)
	r.audit()
	scale := func(replicas string) {
		r.patch(deployments, "web", `[{"op":"replace","path":"/spec/replicas","value":`+replicas+`}]`)
	}
	rule := events.IgnoreRule{Kind: "Deployment", Path: "/spec/replicas"}
	a := r.app("scaled", func(d *events.Declaration) { d.Audit.Ignore = []events.IgnoreRule{rule} })
	a.converge(deployment)
	a.settles()
	scale("5")
	a.quiet("")
	// The rule is taken away, and added again.
	a.declaration.Audit.Ignore = nil
	a.converge0()
	a.hears("detected Deployment/web changed")
	a.declaration.Audit.Ignore = []events.IgnoreRule{rule}
	a.converge0()
	a.hears("detected Deployment/web changed, resolved Deployment/web ignored")
	// Another field of the object is still audited.
	r.patch(deployments, "web", `[{"op":"replace","path":"/metadata/labels/tier","value":"back"}]`)
	all := a.hears("detected Deployment/web changed, resolved Deployment/web ignored, detected Deployment/web changed")
	if got := paths(divergenceOf(all[2])); len(got) != 1 || got[0] != "/metadata/labels/tier" {
		t.Errorf("fields %v", got)
	}
}

// converge0 is a revision that changes the declaration alone: the bundle is
// the same, and the applier has nothing to do.
func (a *app) converge0() {
	a.t.Helper()
	a.commit()
	a.manifests.Declaration, a.manifests.Revision = a.declaration, a.rev()
	a.next(&events.ManifestsUnchanged{Manifests: a.manifests}, a.renderer)
}

func TestRevisionsInFlightAreNoDivergence(t *testing.T) {
	r := newRig(t)
	r.audit()
	a := r.app("rolling")
	a.converge(configMap("one", "k", "1"), configMap("two", "k", "1"))
	for i := range 5 {
		a.commit()
		next := string(rune('2' + i))
		a.render(configMap("one", "k", next), configMap("two", "k", next), configMap("new-"+next, "k", next))
		a.write(a.bundle.Objects[0]) // half of it is written
		a.quiet("")
		a.apply()
	}
	a.quiet("")
	// A foreign edit in flight is seen, on an object that the new revision
	// has not reached.
	a.commit()
	a.render(configMap("one", "k", "x"), configMap("two", "k", "x"))
	r.patch(configMaps, "two", `[{"op":"replace","path":"/data/k","value":"theirs"}]`)
	a.hears("detected ConfigMap/two changed")
	a.apply()
	a.hears("detected ConfigMap/two changed, resolved ConfigMap/two healed")
}

// TestBackAndForthInFlight has a bundle come back that was live as a whole
// before, while the applier has only just written the one in between.
func TestBackAndForthInFlight(t *testing.T) {
	r := newRig(t)
	r.audit()
	a := r.app("back")
	first := []string{configMap("one", "k", "1"), configMap("two", "k", "1")}
	a.converge(first...)
	a.quiet("")
	a.commit()
	a.render(configMap("one", "k", "2"), configMap("two", "k", "2"))
	a.writeAll()
	a.quiet("") // seen, and in flight
	a.commit()
	a.render(first...)
	a.quiet("")
	a.apply()
	a.quiet("")
}

// TestTheApplierIsFaster has objects written of a revision that the auditor
// has not been told of.
func TestTheApplierIsFaster(t *testing.T) {
	r := newRig(t)
	stop := r.audit()
	a := r.app("fast")
	a.converge(configMap("one", "k", "1"), configMap("old", "k", "1"))
	a.quiet("")
	stop()
	// What a race would do, made certain: the log has the revision, and the
	// auditor's view is the one before.
	b := r.idle()
	app := b.application("fast")
	if err := b.load(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	a.commit()
	a.render(configMap("one", "k", "2"))
	a.writeAll()
	a.delete("old")
	for key, target := range app.targets {
		live, err := b.cluster.get(t.Context(), target.Object, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if live == nil {
			b.cache.left(key, "", "", true)
		} else {
			b.cache.listed(key, metaOf(live))
		}
	}
	drafts, err := b.pass(t.Context(), app, work{all: true}, time.Now())
	if err != nil || len(drafts) > 0 {
		t.Errorf("%v: %+v", err, drafts)
	}
}

func TestWithdrawnAndNoLongerDeclared(t *testing.T) {
	r := newRig(t)
	r.audit()
	a := r.app("leaving")
	a.converge(configMap("one", "k", "v"), configMap("two", "k", "v"))
	a.quiet("")
	r.patch(configMaps, "one", `[{"op":"replace","path":"/data/k","value":"x"}]`)
	a.hears("detected ConfigMap/one changed")
	a.commit()
	a.render(configMap("two", "k", "v"))
	a.hears("detected ConfigMap/one changed, resolved ConfigMap/one declared")
	a.apply()
	r.patch(configMaps, "two", `[{"op":"replace","path":"/data/k","value":"x"}]`)
	told := "detected ConfigMap/one changed, resolved ConfigMap/one declared, detected ConfigMap/two changed"
	a.hears(told)
	var rest []string
	for _, name := range r.fleet {
		if name != "leaving" {
			rest = append(rest, name)
		}
	}
	r.fleet = rest
	r.publishFleet()
	told += ", resolved ConfigMap/two withdrawn"
	a.hears(told)
	a.delete("one")
	a.delete("two")
	a.quiet(told)
}

func TestStalledRevision(t *testing.T) {
	r := newRig(t)
	r.audit()
	// Only what is to stall has little time: the rest may take a machine longer.
	const short, long = events.Duration(time.Second), events.Duration(5 * time.Minute)
	a := r.app("stuck", func(d *events.Declaration) { d.Converge.Timeout = short })
	begun := time.Now()
	a.commit()
	all := a.hears("detected revision stalled")
	// Nothing but its timer has the auditor look again within ten minutes.
	if late := all[0].StageEnd.Sub(begun) - short.Std(); late < 0 || late > 30*time.Second {
		t.Errorf("detected %s after the timeout", late)
	}
	d := divergenceOf(all[0])
	if d.Object != nil || d.Revision.Commit != a.rev().Commit || d.Message == "" {
		t.Errorf("%+v", d)
	}
	a.declaration.Converge.Timeout = long
	a.render(configMap("one", "k", "v"))
	a.apply()
	a.hears("detected revision stalled, resolved revision healed")
	a.commit()
	a.next(&events.RenderFailed{Revision: a.rev(), Declaration: a.declaration, Reason: events.ReasonSyntax, Message: "no"}, a.renderer)
	a.commit()
	a.declaration.Converge.Timeout = short // from when it is rendered
	a.render(configMap("one", "k", "w"))
	a.hears("detected revision stalled, resolved revision healed, detected revision stalled")
	a.next(&events.ConvergenceFailed{Converging: a.converging(), Reason: events.ReasonRefused, Message: "no"}, a.applier)
	a.hears("detected revision stalled, resolved revision healed, detected revision stalled, resolved revision reported")
}

func TestObserveMode(t *testing.T) {
	r := newRig(t)
	r.audit()
	// Nothing of it was ever applied by Plumbline.
	r.applyAs("helm", map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "same"}, "data": map[string]any{"k": "v", "more": "x"}})
	r.applyAs("helm", map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "other"}, "data": map[string]any{"k": "w"}})
	a := r.app("watched", func(d *events.Declaration) { d.Converge.Mode = events.ModeObserve })
	a.commit()
	a.render(configMap("same", "k", "v"), configMap("other", "k", "v"))
	all := a.hears("detected ConfigMap/other changed")
	if d := divergenceOf(all[0]); d.Heal || d.Writer == nil || d.Writer.Manager != "helm" {
		t.Errorf("%+v", d)
	}
	r.patch(configMaps, "other", `[{"op":"replace","path":"/data/k","value":"v"}]`)
	a.hears("detected ConfigMap/other changed, resolved ConfigMap/other reverted")
	r.patch(configMaps, "same", `[{"op":"replace","path":"/data/k","value":"z"}]`)
	a.hears("detected ConfigMap/other changed, resolved ConfigMap/other reverted, detected ConfigMap/same changed")
	a.delete("other")
	a.hears("detected ConfigMap/other changed, resolved ConfigMap/other reverted, detected ConfigMap/same changed, detected ConfigMap/other deleted")
}

func TestSyncAndRedeliveryChangeNothing(t *testing.T) {
	r := newRig(t)
	stop := r.audit()
	a := r.app("again")
	a.converge(configMap("one", "k", "v"))
	a.quiet("")
	r.patch(configMaps, "one", `[{"op":"replace","path":"/data/k","value":"x"}]`)
	a.hears("detected ConfigMap/one changed")
	operator := r.bus.Connect(t, "operator")
	r.publish(operator, events.Cause{ID: "sync-1"}, events.Address{}, &events.SyncRequested{By: "test"})
	r.publish(operator, events.Cause{ID: "sync-2"}, events.Address{Application: "again"}, &events.SyncRequested{By: "test"})
	a.quiet("detected ConfigMap/one changed")
	for range 3 {
		stop()
		stop = r.audit()
		a.quiet("detected ConfigMap/one changed")
	}
}

// TestTwoAuditors run at once, by mistake: each transition is still published
// once.
func TestTwoAuditors(t *testing.T) {
	r := newRig(t)
	r.audit()
	r.audit()
	a := r.app("twice", func(d *events.Declaration) { d.Audit.AlertAfter = events.Duration(200 * time.Millisecond) })
	a.converge(configMap("one", "k", "v"))
	a.quiet("")
	want := ""
	for range 3 {
		r.patch(configMaps, "one", `[{"op":"replace","path":"/data/k","value":"x"}]`)
		if want != "" {
			want += ", "
		}
		want += "detected ConfigMap/one changed, persisted ConfigMap/one changed"
		a.hears(want)
		a.apply()
		want += ", resolved ConfigMap/one healed"
		a.hears(want)
	}
	a.quiet(want)
}

// TestLogLost loses the whole log under a running auditor: what is open is
// found and said again, in the new log, once.
func TestLogLost(t *testing.T) {
	r := newRig(t)
	r.audit()
	a := r.app("lost")
	a.converge(configMap("one", "k", "v"), configMap("two", "k", "v"))
	a.quiet("")
	r.patch(configMaps, "one", `[{"op":"replace","path":"/data/k","value":"x"}]`)
	a.hears("detected ConfigMap/one changed")
	r.loseLog()
	if got := story(a.heard()); got != "" {
		t.Fatalf("the log still has %q", got)
	}
	// The others say again what they know; the applier has nothing to do.
	r.publishFleet()
	a.commit()
	a.renderBundle(a.bundle)
	a.hears("detected ConfigMap/one changed")
	a.delete("two")
	a.hears("detected ConfigMap/one changed, detected ConfigMap/two deleted")
}

// TestCustomResources has a definition and its resource in one commit, and the
// definition deleted by hand.
func TestCustomResources(t *testing.T) {
	r := newRigAlone(t)
	r.audit()
	a := r.app("custom")
	a.commit()
	a.render(gadgetDefinition, gadget)
	var list []events.AppliedObject
	for _, o := range a.bundle.Objects {
		if o.Kind == "Gadget" {
			r.established(gadgetsName)
		}
		list = append(list, a.writeOne(o))
	}
	a.quiet("")
	a.applied(list...)
	// The identity was minted before the definition was there: it may read
	// the new group once its keeper has seen to it.
	a.limits(1)
	if _, err := MintReadOnly(t.Context(), r.admin, t.TempDir(), Grant{}); err != nil {
		t.Fatal(err)
	}
	a.limits(0)
	r.patch(gadgets, "gadget", `[{"op":"replace","path":"/size","value":9}]`)
	a.hears("detected Gadget/gadget changed")
	a.writeAll()
	a.hears("detected Gadget/gadget changed, resolved Gadget/gadget healed")
	if err := r.client(gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), "").Delete(t.Context(), gadgetsName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, "both are gone", func() bool {
		told := story(a.heard())
		return strings.Contains(told, "detected CustomResourceDefinition/gadgets.lab.example deleted") && strings.Contains(told, "healed, detected Gadget/gadget deleted") || strings.Contains(told, ", detected Gadget/gadget deleted")
	})
	a.once()
}

// TestIdentityIsKept: the keeper extends the role as custom resources come.
func TestIdentityIsKept(t *testing.T) {
	r := newRigAlone(t)
	id, err := MintReadOnly(t.Context(), r.admin, t.TempDir(), Grant{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { id.Keep(ctx, bustest.Log(t)); close(done) }()
	r.kubeconfig = id.Kubeconfig
	r.audit()
	a := r.app("kept")
	a.converge(gadgetDefinition)
	r.established(gadgetsName)
	a.converge(gadgetDefinition, gadget)
	a.quiet("")
	r.patch(gadgets, "gadget", `[{"op":"replace","path":"/size","value":9}]`)
	a.hears("detected Gadget/gadget changed")
	cancel()
	<-done
}
