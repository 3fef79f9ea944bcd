// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"encoding/json"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

var secrets = gvk("", "v1", "Secret")

const canary = "canary-7f3a-do-not-tell"

// convergeSecret converges a Secret that the bundle holds sealed and the
// cluster plain.
func (a *app) convergeSecret(key seal.DigestKey) {
	a.t.Helper()
	_, recipient, err := seal.EnsureIdentity(a.t.TempDir() + "/age.key")
	if err != nil {
		a.t.Fatal(err)
	}
	plain := map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "db", "namespace": a.declaration.Namespace}, "type": "Opaque",
		"data": map[string]any{"password": "b25lIHBhc3N3b3Jk", "user": "YWRh"},
	}
	sealed, err := seal.SealSecret(plain, recipient, key)
	if err != nil {
		a.t.Fatal(err)
	}
	id, err := manifest.Identify(sealed)
	if err != nil {
		a.t.Fatal(err)
	}
	a.commit()
	object := manifest.Object{Object: id, Digest: manifest.Digest(sealed), File: "deploy/secret.yaml", Line: 1, Body: sealed}
	a.renderBundle(manifest.Bundle{Namespace: a.declaration.Namespace, Objects: []manifest.Object{object}})
	object.Body = plain
	a.putBack(object)
}

func (a *app) putBack(o manifest.Object) {
	a.t.Helper()
	live := a.write(o)
	a.applied(events.AppliedObject{Object: o.Object, Action: events.ActionCreated, Digest: o.Digest, UID: string(live.GetUID()), Fields: metaOf(live).Ours.Fields})
	a.next(&events.ConvergenceCompleted{Converging: a.converging()}, a.applier)
}

// limits waits until the last audit.limited names so many objects.
func (a *app) limits(count int) events.AuditLimited {
	a.t.Helper()
	var last events.AuditLimited
	bustest.Eventually(a.t, "the audit's limits are said", func() bool {
		e, err := a.reader.Last(a.t.Context(), events.TypeNamed("audit.limited").Subject(a.at()))
		if err != nil {
			return false
		}
		data, ok := e.Data.(*events.AuditLimited)
		if ok {
			last = *data
		}
		return ok && data.Count == count
	})
	return last
}

func TestSecretValuesAreComparedAndNeverTold(t *testing.T) {
	r := newRig(t)
	key := r.withDigestKey()
	r.audit()
	a := r.app("sealed")
	a.convergeSecret(key)
	a.quiet("")
	r.patch(secrets, "db", `[{"op":"replace","path":"/data/password","value":"Y2FuYXJ5LTdmM2EtZG8tbm90LXRlbGw="}]`)
	all := a.hears("detected Secret/db changed")
	d := divergenceOf(all[0])
	if len(d.Fields) != 1 || d.Fields[0].Path != "/data/password" || !d.Fields[0].Redacted || d.Fields[0].Desired+d.Fields[0].Live != "" {
		t.Errorf("%+v", d.Fields)
	}
	if d.Writer == nil || d.Writer.Manager != "kubectl-edit" {
		t.Errorf("writer %+v", d.Writer)
	}
	text, err := json.Marshal(all[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{canary, "Y2FuYXJ5", "b25lIHBhc3N3b3Jk", "one password", "plumbline:sealed"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("%q is told: %s", secret, text)
		}
	}
	// The same value under another writer is no difference.
	r.patch(secrets, "db", `[{"op":"replace","path":"/data/password","value":"b25lIHBhc3N3b3Jk"}]`)
	a.hears("detected Secret/db changed, resolved Secret/db reverted")
	r.patch(secrets, "db", `[{"op":"remove","path":"/data/user"}]`)
	a.hears("detected Secret/db changed, resolved Secret/db reverted, detected Secret/db removed")
}

func TestSecretsWithoutDigestKey(t *testing.T) {
	r := newRig(t)
	key := r.withDigestKey()
	r.digestKey = ""
	r.audit()
	a := r.app("nokey")
	a.convergeSecret(key)
	if l := a.limits(1); l.Objects[0].Reason != events.ReasonNoDigestKey {
		t.Errorf("%+v", l)
	}
	r.patch(secrets, "db", `[{"op":"remove","path":"/data/user"}]`)
	a.hears("detected Secret/db removed")
}

// TestSecretsNotGranted: an auditor that may not read Secrets says so, does the
// rest of its work, and says when it may.
func TestSecretsNotGranted(t *testing.T) {
	r := newRig(t)
	key := r.withDigestKey()
	id, err := MintReadOnly(t.Context(), r.admin, t.TempDir(), Grant{})
	if err != nil {
		t.Fatal(err)
	}
	r.kubeconfig = id.Kubeconfig
	a := r.app("denied")
	a.convergeSecret(key)
	r.audit()
	l := a.limits(1)
	if l.Objects[0].Reason != events.ReasonForbidden || l.Objects[0].Name != "db" {
		t.Errorf("%+v", l)
	}
	t.Log(l.Objects[0].Message)
	r.patch(secrets, "db", `[{"op":"remove","path":"/data/user"}]`)
	a.quiet("")
	// Granted in the one namespace.
	rbac := kubernetes.NewForConfigOrDie(r.admin).RbacV1()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "read-secrets"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch"}}}}
	if _, err := rbac.Roles(r.namespace).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "read-secrets"}, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: "read-secrets"}, Subjects: ReadOnlyBinding().Subjects}
	if _, err := rbac.RoleBindings(r.namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	a.hears("detected Secret/db removed")
	a.limits(0)
	n := 0
	if _, err := r.reader.Read(t.Context(), bus.Range{Filter: events.TypeNamed("audit.limited").Subject(a.at())}, func(bus.Record) error { n++; return nil }); err != nil || n != 2 {
		t.Errorf("%d times said, %v", n, err)
	}
}
