// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"encoding/base64"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

var patchOptions = metav1.PatchOptions{FieldManager: "controller"}

func TestLeavesAnIgnoredFieldToItsNewOwner(t *testing.T) {
	r := newRig(t)
	r.declare("web", func(d *events.Declaration) {
		d.Audit.Ignore = []events.IgnoreRule{{Kind: "Deployment", Path: "/spec/replicas"}}
	})
	r.fleet()
	r.start()
	replicas := func() int64 {
		n, _, err := unstructured.NestedInt64(r.get(deployments, "web").Object, "spec", "replicas")
		r.must(err)
		return n
	}
	r.commit("web", deploymentYAML("web", "", 2))
	r.await("web", "completed", 1)
	if n := replicas(); n != 2 {
		t.Fatalf("at creation: %d replicas", n)
	}
	r.commit("web", strings.Replace(deploymentYAML("web", "", 2), "main:1", "main:2", 1))
	if applied := r.applied("web", 2); len(applied.Objects.Items[0].Left) != 0 || replicas() != 2 {
		t.Errorf("while only we own it: got %+v, %d replicas", applied.Objects.Items[0], replicas())
	}
	_, err := r.client(deployments, r.namespace).Patch(r.Context(), "web", "application/merge-patch+json", []byte(`{"spec":{"replicas":3}}`),
		metav1.PatchOptions{FieldManager: "autoscaler"}, "scale")
	r.must(err)
	r.commit("web", strings.Replace(deploymentYAML("web", "", 2), "main:1", "main:3", 1))
	applied := r.applied("web", 3)
	if o := applied.Objects.Items[0]; len(o.Left) != 1 || o.Left[0] != "/spec/replicas" || replicas() != 3 {
		t.Errorf("once another owns it: got %+v, %d replicas", o, replicas())
	}
}

func TestOpensASealedSecret(t *testing.T) {
	r := newRig(t)
	identity, _, err := seal.EnsureIdentity(filepath.Join(t.TempDir(), "age.key"))
	r.must(err)
	r.identity = &identity
	stop := r.start()
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: correct-horse}\n"
	r.commit("shop", secret)
	r.await("shop", "completed", 1)
	data, _, err := unstructured.NestedString(r.get(secrets, "s").Object, "data", "password")
	r.must(err)
	if plain, err := base64.StdEncoding.DecodeString(data); err != nil || string(plain) != "correct-horse" {
		t.Errorf("got %q, %v", plain, err)
	}
	stop()

	t.Run("not with another key", func(t *testing.T) {
		other, _, err := seal.EnsureIdentity(filepath.Join(t.TempDir(), "other.key"))
		r.must(err)
		c, p := r.observe("other")
		bundle := r.render(p, strings.Replace(secret, "name: s", "name: s2", 1)+"---\n"+configMapYAML("beside", "1"))
		r.identity = &other
		r.start()
		r.publish(c, bundle)
		failed := payload[*events.ConvergenceFailed](r.await("other", "failed", 1))
		if failed.Reason != events.ReasonUnsealable || !strings.Contains(failed.Message, "data.password of Secret/") {
			t.Errorf("got %+v", failed)
		}
		if r.get(configMaps_, "beside") == nil {
			t.Error("the others were not written")
		}
	})
	if strings.Contains(r.story("shop")+r.story("other"), "horse") {
		t.Error("a secret was said")
	}
}

func TestSaysWhyAnObjectIsRefused(t *testing.T) {
	r := newRig(t)
	r.start()
	r.commit("web", deploymentYAML("web", "", 1))
	r.await("web", "completed", 1)
	r.commit("web", strings.ReplaceAll(deploymentYAML("web", "", 1), "{app: web}", "{app: other}"))
	if failed := payload[*events.ConvergenceFailed](r.await("web", "failed", 1)); failed.Reason != events.ReasonImmutable ||
		!strings.Contains(failed.Message, "spec.selector") || failed.Failures[0].Line != 1 || failed.Failures[0].APIReason != "Invalid" {
		t.Errorf("immutable: got %+v", failed)
	}

	r.commit("field", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: f}\ndatum: {a: b}\n")
	if failed := payload[*events.ConvergenceFailed](r.await("field", "failed", 1)); failed.Reason != events.ReasonRefused || !strings.Contains(failed.Message, "datum") {
		t.Errorf("unknown field: got %+v", failed)
	}

	r.identity = nil
	r.commit("secret", "apiVersion: v1\nkind: Secret\nmetadata: {name: f}\ntype: kubernetes.io/tls\ndata: {tls.crt: 'horse-not-base64'}\n")
	if failed := payload[*events.ConvergenceFailed](r.await("secret", "failed", 1)); strings.Contains(r.story("secret"), "horse") {
		t.Errorf("a secret was said: %+v", failed)
	}

	webhooks := schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}
	r.create(webhooks, "", `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: `+r.namespace+`},
		webhooks: [{name: gate.example.com, clientConfig: {url: "https://127.0.0.1:1/"}, sideEffects: None, admissionReviewVersions: [v1], timeoutSeconds: 1,
		namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: `+r.namespace+`}},
		rules: [{apiGroups: [""], apiVersions: [v1], operations: ["*"], resources: [serviceaccounts]}]}]}`)
	t.Cleanup(func() {
		r.must(r.admin.Resource(webhooks).Delete(context.Background(), r.namespace, metav1.DeleteOptions{}))
	})
	r.commit("hook", configMapYAML("beside", "1")+"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\n")
	if failed := payload[*events.ConvergenceFailed](r.await("hook", "failed", 1)); !strings.Contains(failed.Message, "gate.example.com") || failed.Failed != 1 {
		t.Errorf("webhook: got %+v", failed)
	}
}

// A divergence that persists although it is to be healed was not healed for
// some reason: it is tried once more.
func TestHealsWhatPersists(t *testing.T) {
	r := newRig(t)
	r.start()
	e := r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	r.begun("shop")
	one := events.Object{Version: "v1", Kind: "ConfigMap", Namespace: r.namespace, Name: "one"}
	r.edit(configMaps_, "one", `{"data":{"key":"by hand"}}`)
	cause := events.CauseOf(e)
	cause.ID = "persisted"
	m := manifestsOf(e)
	_, err := r.auditor.Publish(r.Context(), cause, events.Draft{
		Address: events.Address{Cluster: "local", Application: "shop", Key: "k"},
		Data:    &events.DivergencePersisted{Divergence: events.Divergence{Key: "k", Kind: events.DivergenceChanged, Object: &one, Digest: m.Digest, Revision: m.Revision, Heal: true}},
	})
	r.must(err)
	if healed := r.applied("shop", 2); healed.Cause != causeHeal || healed.Counts != (events.Counts{Configured: 1}) {
		t.Errorf("got %+v", healed)
	}
}

func TestHealsToTheFenceAndForgetsWhatItRemembered(t *testing.T) {
	r := newRig(t)
	r.start()
	e := r.commit("shop", configMapYAML("one", "1")+configMapYAML("two", "1"))
	r.await("shop", "completed", 1)
	r.begun("shop")
	one := events.Object{Version: "v1", Kind: "ConfigMap", Namespace: r.namespace, Name: "one"}
	r.edit(configMaps_, "one", `{"data":{"key":"by hand"}}`)
	r.diverged(e, one)
	healed := r.applied("shop", 2)
	data, _, _ := nestedMap(r.get(configMaps_, "one"), "data")
	if healed.Cause != causeHeal || healed.Counts != (events.Counts{Configured: 1, Unchanged: 1}) || data["key"] != "1" {
		t.Errorf("got %+v, %v", healed, data)
	}
	r.await("shop", "completed", 2)
	for _, o := range healed.Objects.Items {
		want := ""
		if o.Name == "one" {
			want = r.get(configMaps_, "one").GetResourceVersion()
		}
		if o.ResourceVersion != want {
			t.Errorf("%s: said to be written at %q, want %q", o.Object, o.ResourceVersion, want)
		}
	}

	t.Run("a deleted object", func(t *testing.T) {
		r.must(r.client(configMaps_, r.namespace).Delete(r.Context(), "two", metav1.DeleteOptions{}))
		r.diverged(e, events.Object{Version: "v1", Kind: "ConfigMap", Namespace: r.namespace, Name: "two"})
		if healed := r.applied("shop", 3); healed.Counts.Created != 1 {
			t.Errorf("got %+v", healed.Counts)
		}
	})
	t.Run("not by the event of an older revision", func(t *testing.T) {
		r.commit("shop", configMapYAML("one", "2")+configMapYAML("two", "1"))
		r.await("shop", "completed", 4)
		said := len(r.events("shop"))
		r.diverged(e, one)
		r.commit("barrier", configMapYAML("barrier", "1"))
		r.await("barrier", "completed", 1)
		if now := len(r.events("shop")); now != said {
			t.Errorf("said%s", r.story("shop"))
		}
	})
	t.Run("not where healing is off", func(t *testing.T) {
		r.declare("shop", func(d *events.Declaration) { d.Audit.Heal = false })
		off := r.commit("shop", configMapYAML("one", "3")+configMapYAML("two", "1"))
		r.await("shop", "completed", 5)
		r.edit(configMaps_, "one", `{"data":{"key":"by hand"}}`)
		r.diverged(off, one)
		r.sync()
		r.commit("barrier", configMapYAML("barrier", "2"))
		r.await("barrier", "completed", 2)
		if data, _, _ := nestedMap(r.get(configMaps_, "one"), "data"); data["key"] != "by hand" {
			t.Errorf("got %v", data)
		}
	})
}

func TestCreatesTheDeclaredNamespaceAndNeverPrunesIt(t *testing.T) {
	r := newRig(t)
	own := r.namespace + "-made"
	r.declare("shop", func(d *events.Declaration) { d.Namespace, d.CreateNamespace = own, true })
	r.declare("other")
	r.fleet()
	r.start()
	r.commit("other", configMapYAML("other", "1"))
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	r.await("other", "completed", 1)
	if inv, _ := r.inventory("shop"); len(inv.Entries) != 1 {
		t.Errorf("got %+v", inv.Entries)
	}
	delete(r.declared, "shop")
	r.fleet()
	r.withdrawn("shop", 1)
	ns, err := r.admin.Resource(namespaces).Get(r.Context(), own, metav1.GetOptions{})
	r.must(err)
	if ns.GetDeletionTimestamp() != nil {
		t.Error("it was deleted")
	}
	r.must(r.admin.Resource(namespaces).Delete(r.Context(), own, metav1.DeleteOptions{}))

	t.Run("without it the failure says what to do", func(t *testing.T) {
		r.declare("lost", func(d *events.Declaration) { d.Namespace = r.namespace + "-missing" })
		r.commit("lost", configMapYAML("one", "1"))
		if failed := payload[*events.ConvergenceFailed](r.await("lost", "failed", 1)); !strings.Contains(failed.Message, "createNamespace") {
			t.Errorf("got %+v", failed)
		}
	})
}

func TestAFinalizerKeepsAPrunedObjectInTheInventory(t *testing.T) {
	r := newRig(t)
	r.start()
	r.commit("shop", configMapYAML("one", "1")+configMapYAML("stuck", "1"))
	r.await("shop", "completed", 1)
	r.edit(configMaps_, "stuck", `{"metadata":{"finalizers":["example.com/stay"]}}`)
	r.commit("shop", configMapYAML("one", "2"))
	r.eventually("its deletion is asked for", func() bool {
		u := r.get(configMaps_, "stuck")
		return u != nil && u.GetDeletionTimestamp() != nil
	})
	failed := payload[*events.ConvergenceFailed](r.await("shop", "failed", 1))
	if failed.Reason != events.ReasonDeletionBlocked || failed.Failures[0].Name != "stuck" {
		t.Errorf("got %+v", failed)
	}
	inv, _ := r.inventory("shop")
	if _, ok := inv.Entries["/ConfigMap/"+r.namespace+"/stuck"]; !ok {
		t.Error("it left the inventory")
	}
	r.edit(configMaps_, "stuck", `{"metadata":{"finalizers":null}}`)
	r.await("shop", "completed", 2)
	if applied := r.applied("shop", 2); applied.Counts != (events.Counts{Configured: 1, Pruned: 1}) || applied.Objects.Count != 2 {
		t.Errorf("what was deleted is not told: %+v", applied)
	}
	e := r.rendered("shop")
	r.edit(configMaps_, "one", `{"data":{"key":"by hand"}}`)
	r.diverged(e, events.Object{Version: "v1", Kind: "ConfigMap", Namespace: r.namespace, Name: "one"})
	if healed := r.applied("shop", 3); healed.Counts != (events.Counts{Configured: 1}) || healed.Objects.Count != 1 {
		t.Errorf("it is told again with a heal: %+v", healed)
	}
	if inv, _ := r.inventory("shop"); len(inv.Entries) != 1 || !inv.Fence.Applied {
		t.Errorf("got %+v", inv)
	}
}

func TestWhatTwoTriesHaveDone(t *testing.T) {
	did := func(action events.Action, at string) Result { return Result{Action: action, ResourceVersion: at} }
	kept := did(events.ActionUnchanged, "")
	for _, c := range []struct{ first, second, both Result }{
		{Result{}, kept, kept},
		{Result{}, did(events.ActionCreated, "2"), did(events.ActionCreated, "2")},
		{kept, did(events.ActionConfigured, "2"), did(events.ActionConfigured, "2")},
		{did(events.ActionConfigured, "1"), kept, did(events.ActionConfigured, "1")}, // which still says what the write came to
		{did(events.ActionCreated, "1"), did(events.ActionConfigured, "2"), did(events.ActionCreated, "2")},
		{did(events.ActionAdopted, "1"), did(events.ActionConfigured, "2"), did(events.ActionAdopted, "2")},
		{did(events.ActionConfigured, "1"), did(events.ActionCreated, "2"), did(events.ActionCreated, "2")}, // it was deleted in between
		{did(events.ActionPruned, ""), did(events.ActionCreated, "2"), did(events.ActionCreated, "2")},
		{did(events.ActionPruned, ""), kept, kept},
		{did(events.ActionPruned, ""), Result{Action: events.ActionPruned, Gone: true}, Result{Action: events.ActionPruned, Gone: true}},
	} {
		if got := c.first.then(c.second); got.Action != c.both.Action || got.ResourceVersion != c.both.ResourceVersion || got.Gone != c.both.Gone {
			t.Errorf("%+v, then %+v: got %+v, want %+v", c.first, c.second, got, c.both)
		}
	}
	if got := (Result{Action: events.ActionCreated}).then(Result{Err: errLacking}); got.Err == nil || got.Action != "" {
		t.Errorf("got %+v", got)
	}
}

// What an earlier try had deleted, and what is in no plan any more, has gone: another
// applier, or a write whose answer was lost, has taken it out of the inventory.
func TestWhatIsInNoPlanAnyMoreIsNotWaitedFor(t *testing.T) {
	o := events.Object{Version: "v1", Kind: "ConfigMap", Namespace: "ns", Name: "stuck"}
	e := events.Event{Epoch: "e", Sequence: 4}
	for _, op := range []Op{OpDelete, OpWait} {
		for _, sequence := range []uint64{3, 4} {
			task := &task{event: e, app: &application{
				carriedOf: events.Event{Epoch: "e", Sequence: sequence},
				carried: outcome{
					steps:   map[string]Step{o.Key(): {Object: o, Op: op}},
					results: map[string]Result{o.Key(): {Action: events.ActionPruned}},
				},
			}}
			done := task.carried()
			if waits := waiting(&done); len(waits) > 0 {
				t.Errorf("%s of revision %d: it waits for %v", op, sequence, waits)
			}
			if counts, _ := tally(&done, nil); counts != (events.Counts{Pruned: 1}) {
				t.Errorf("%s of revision %d: got %+v", op, sequence, counts)
			}
		}
	}
}

// A revision that waits for what is being deleted, by it or by somebody else, and
// that a newer one overtakes meanwhile, is said to be superseded, unless it was said
// to fail before.
func TestARevisionIsOvertakenWhileADeletionTakesLong(t *testing.T) {
	for name, c := range map[string]struct {
		second, third string
		counts        events.Counts
	}{
		"its own": {configMapYAML("one", "2"), configMapYAML("one", "3"), events.Counts{Configured: 1, Pruned: 1}},
		"its own, and it is declared again": {
			configMapYAML("one", "2"), configMapYAML("one", "3") + configMapYAML("stuck", "3"), events.Counts{Configured: 1, Created: 1},
		},
		"somebody else's": {
			configMapYAML("one", "2") + configMapYAML("stuck", "2"), configMapYAML("one", "3") + configMapYAML("stuck", "3"), events.Counts{Configured: 1, Created: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.start()
			r.commit("shop", configMapYAML("one", "1")+configMapYAML("stuck", "1"))
			r.await("shop", "completed", 1)
			r.edit(configMaps_, "stuck", `{"metadata":{"finalizers":["example.com/stay"]}}`)
			if name == "somebody else's" {
				r.must(r.client(configMaps_, r.namespace).Delete(r.Context(), "stuck", metav1.DeleteOptions{}))
			}
			overtaken := r.commit("shop", c.second)
			r.eventually("its deletion is asked for", func() bool {
				inv, _ := r.inventory("shop")
				u := r.get(configMaps_, "stuck")
				return u != nil && u.GetDeletionTimestamp() != nil && inv.Fence.Sequence == overtaken.Sequence
			})
			r.within("shop", func(context.Context) error { return nil })
			r.commit("shop", c.third)
			r.edit(configMaps_, "stuck", `{"metadata":{"finalizers":null}}`)
			r.await("shop", "completed", 2)
			r.nats.Idle(t, "applier-local")
			var said []string
			for _, e := range r.events("shop") {
				if e.Sequence == overtaken.Sequence {
					said = append(said, e.Type.Verb)
				}
			}
			if !slices.Equal(said, []string{"superseded"}) && !slices.Equal(said, []string{"failed"}) {
				t.Errorf("of the overtaken revision was said: %v%s", said, r.story("shop"))
			}
			if applied := r.applied("shop", 2); applied.Counts != c.counts {
				t.Errorf("got %+v, want %+v", applied.Counts, c.counts)
			}
		})
	}
}

func TestHealsWhileTheNextRevisionDoesntRender(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	e := r.unchanged("shop", configMapYAML("one", "1"))
	broken, p := r.observe("shop")
	r.publish(broken, &events.RenderFailed{Revision: p.Revision, Declaration: p.Declaration, Reason: events.ReasonSyntax, Message: "x"})
	stop()
	r.start()
	r.edit(configMaps_, "one", `{"data":{"key":"by hand"}}`)
	r.diverged(e, events.Object{Version: "v1", Kind: "ConfigMap", Namespace: r.namespace, Name: "one"})
	if healed := r.applied("shop", 2); healed.Counts != (events.Counts{Configured: 1}) {
		t.Errorf("got %+v", healed)
	}
}
