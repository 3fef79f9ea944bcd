// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumbline-dev/plumbline/events"
)

var (
	admissionPolicies = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"}
	policyBindings    = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"}
)

// denyDeletions has a policy deny the deletion of every ConfigMap of the test's
// namespace, by now, until it is allowed.
func (r *rig) denyDeletions(probe string) (allow func()) {
	r.Helper()
	name := "keep-" + r.namespace
	r.create(admissionPolicies, "", `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: `+name+`},
		spec: {failurePolicy: Fail, validations: [{expression: "false", message: "deleting takes a ticket"}],
		matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [DELETE], resources: [configmaps]}],
		namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: `+r.namespace+`}}}}}`)
	r.create(policyBindings, "", `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: `+name+`},
		spec: {policyName: `+name+`, validationActions: [Deny]}}`)
	denied := func() bool {
		err := r.client(configMaps_, r.namespace).Delete(context.Background(), probe, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil && !apierrors.IsNotFound(err)
	}
	end := func() {
		for _, gvr := range []schema.GroupVersionResource{policyBindings, admissionPolicies} {
			if err := r.admin.Resource(gvr).Delete(context.Background(), name, metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
				r.must(err)
			}
		}
	}
	r.Cleanup(end)
	r.eventually("the policy denies", denied)
	return func() {
		r.Helper()
		end()
		r.eventually("the policy denies no more", func() bool { return !denied() })
	}
}

// A deletion that a policy denies is said, with who denies it and what to do;
// the object stays ours, all else is done, and it goes as soon as it may.
func TestADeletionThatIsDeniedIsSaidAndTriedAgain(t *testing.T) {
	r := newRig(t)
	r.start()
	r.commit("shop", configMapYAML("one", "1")+configMapYAML("two", "1")+configMapYAML("unwanted", "1"))
	r.await("shop", "completed", 1)
	uid := r.get(configMaps_, "unwanted").GetUID()
	allow := r.denyDeletions("unwanted")
	for n, value := range []string{"2", "3"} { // the next revision finds it as well
		r.commit("shop", configMapYAML("one", value)+configMapYAML("two", "1")+configMapYAML("new", "1"))
		failed := payload[*events.ConvergenceFailed](r.await("shop", "failed", n+1))
		if failed.Reason != events.ReasonDeletionBlocked || failed.Failed != 1 || failed.Failures[0].Name != "unwanted" {
			t.Errorf("got %+v", failed)
		}
		for _, want := range []string{"policy keep-" + r.namespace, "the deletion of ", "unwanted", "deleting takes a ticket", "be allowed to delete it, or declare it again"} {
			if !strings.Contains(failed.Message, want) {
				t.Errorf("%q lacks %q", failed.Message, want)
			}
		}
		data, _, err := nestedMap(r.get(configMaps_, "one"), "data")
		r.must(err)
		if data["key"] != value || r.get(configMaps_, "two") == nil || r.get(configMaps_, "new") == nil {
			t.Errorf("the rest is not applied: %v", data)
		}
		inv, _ := r.inventory("shop")
		if e, ok := inv.Entries["/ConfigMap/"+r.namespace+"/unwanted"]; !ok || e.UID != string(uid) || inv.Fence.Applied {
			t.Errorf("the inventory has %+v, %+v", e, inv.Fence)
		}
	}
	if u := r.get(configMaps_, "unwanted"); u == nil || u.GetUID() != uid || u.GetDeletionTimestamp() != nil {
		t.Errorf("it is %v", u)
	}
	r.sync()
	r.commit("barrier", configMapYAML("barrier", "1"))
	r.await("barrier", "completed", 1)
	if said := len(r.events("shop", "failed")); said != 2 {
		t.Errorf("it was said %d times of two revisions%s", said, r.story("shop"))
	}
	allow()
	r.await("shop", "completed", 2) // it is tried again by itself
	if applied := r.applied("shop", 2); applied.Counts.Pruned != 1 {
		t.Errorf("got %+v", applied.Counts)
	}
	inv, _ := r.inventory("shop")
	if u := r.get(configMaps_, "unwanted"); u != nil || len(inv.Entries) != 3 || !inv.Fence.Applied {
		t.Errorf("it is %v, the inventory has %+v", u, inv)
	}
}

// What fails as it did before is not said again because its deletions have waited,
// without a word, for an application that was declared meanwhile.
func TestAFailureThatWaitedForAnotherIsNotSaidAgain(t *testing.T) {
	r := newRig(t)
	r.start()
	r.commit("shop", configMapYAML("one", "1")+configMapYAML("unwanted", "1"))
	r.await("shop", "completed", 1)
	allow := r.denyDeletions("unwanted")
	r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "failed", 1)

	r.declare("other")
	r.fleet()
	r.sync()
	r.eventually("it waits for the other", func() bool {
		r.last.mu.Lock()
		defer r.last.mu.Unlock()
		return r.last.waiting["shop"] == "other"
	})
	r.commit("other", configMapYAML("other", "1"))
	r.await("other", "completed", 1)
	r.eventually("it waits no more", func() bool {
		r.last.mu.Lock()
		defer r.last.mu.Unlock()
		_, waits := r.last.waiting["shop"]
		return !waits
	})
	r.within("shop", func(context.Context) error { return nil })
	allow()
	r.await("shop", "completed", 2)
	if said := len(r.events("shop", "failed", "held")); said != 1 {
		t.Errorf("it was said %d times%s", said, r.story("shop"))
	}
	if applied := r.applied("shop", 2); applied.Counts.Pruned != 1 {
		t.Errorf("got %+v", applied.Counts)
	}
}

// An application that is withdrawn stays in its inventory until it may go.
func TestAWithdrawalThatIsDeniedIsSaidAndTriedAgain(t *testing.T) {
	r := newRig(t)
	r.start()
	r.commit("shop", configMapYAML("unwanted", "1"))
	r.await("shop", "completed", 1)
	r.commit("other", configMapYAML("other", "1"))
	r.await("other", "completed", 1)
	allow := r.denyDeletions("unwanted")
	delete(r.declared, "shop")
	r.fleet()
	held := payload[*events.ApplicationWithdrawn](r.await("shop", "withdrawn", 1))
	if held.Outcome != events.ActionHeld || held.Reason != events.ReasonDeletionBlocked || !strings.HasPrefix(held.Message, "the admission policy keep-"+r.namespace) {
		t.Errorf("got %+v", held)
	}
	if inv, found := r.inventory("shop"); !found || len(inv.Entries) != 1 || r.get(configMaps_, "unwanted") == nil {
		t.Errorf("the inventory has %+v", inv)
	}
	allow()
	if gone := payload[*events.ApplicationWithdrawn](r.await("shop", "withdrawn", 2)); gone.Outcome != events.ActionPruned || gone.Objects.Count != 1 {
		t.Errorf("got %+v", gone)
	}
	r.noInventory("shop")
	if r.get(configMaps_, "unwanted") != nil {
		t.Error("it is still there")
	}
}

// What refuses a deletion is told in words of a deletion, under reasons of its
// own; the words of a webhook or a policy are not repeated of a Secret.
func TestExplainsWhatRefusesADeletion(t *testing.T) {
	o := events.Object{Version: "v1", Kind: "ConfigMap", Namespace: "ns", Name: "a"}
	secret := events.Object{Version: "v1", Kind: "Secret", Namespace: "ns", Name: "a"}
	for name, c := range map[string]struct {
		status metav1.Status
		reason events.Reason
		says   string
		again  bool
	}{
		"a webhook":              {metav1.Status{Code: 403, Reason: "Forbidden", Message: `admission webhook "gate.example.com" denied the request: its words`}, events.ReasonDeletionBlocked, "webhook gate.example.com denies the deletion of", false},
		"a webhook that is away": {metav1.Status{Code: 500, Reason: "InternalError", Message: `Internal error occurred: failed calling webhook "gate.example.com": its words`}, events.ReasonDeletionBlocked, "agree to the deletion of", true},
		"a policy":               {metav1.Status{Code: 422, Reason: "Invalid", Message: `configmaps "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: its words`}, events.ReasonDeletionBlocked, "policy p (binding b) denies the deletion of", false},
		"a policy that forbids":  {metav1.Status{Code: 403, Reason: "Forbidden", Message: `configmaps "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: its words`}, events.ReasonDeletionBlocked, "policy p (binding b) denies the deletion of", false},
		"RBAC":                   {metav1.Status{Code: 403, Reason: "Forbidden", Message: `configmaps "a" is forbidden: User "x" cannot delete resource "configmaps"`}, events.ReasonForbidden, "", false},
	} {
		for _, of := range []events.Object{o, secret} {
			got, _ := explainRemoval(of, &apierrors.StatusError{ErrStatus: c.status}).(*trouble) //nolint:errorlint // as it is made
			if got == nil || got.Reason != c.reason || got.Again != c.again || !strings.Contains(got.Message, c.says) || !strings.Contains(got.Message, "delet") {
				t.Errorf("%s: got %+v", name, got)
			}
			if of == secret && strings.Contains(got.Message, "its words") {
				t.Errorf("%s: a Secret's words are repeated: %s", name, got.Message)
			}
		}
		write, _ := explain(o, &apierrors.StatusError{ErrStatus: c.status}).(*trouble) //nolint:errorlint // as it is made
		if write == nil || write.Reason == events.ReasonDeletionBlocked || strings.Contains(write.Message, "deletion") || strings.Contains(write.Message, "is invalid") {
			t.Errorf("%s: of a write %+v", name, write)
		}
	}
}
