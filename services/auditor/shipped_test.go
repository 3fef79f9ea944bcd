// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"errors"
	"os"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

// With exactly the rights that deploy/kubernetes grants in an application's
// namespace, and none elsewhere, everything there is audited, Secrets included.
func TestAuditsANamespaceWithTheShippedRights(t *testing.T) {
	r := newRig(t)
	key := r.withDigestKey()
	rbac := kubernetes.NewForConfigOrDie(r.admin).RbacV1()
	if err := rbac.ClusterRoleBindings().Delete(t.Context(), RoleName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	shipped, err := os.ReadFile("../../deploy/kubernetes/rights/auditor.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documents := strings.Split(string(shipped), "\n---\n")
	var role rbacv1.Role
	var binding rbacv1.RoleBinding
	if err := errors.Join(yaml.UnmarshalStrict([]byte(documents[0]), &role), yaml.UnmarshalStrict([]byte(documents[1]), &binding)); err != nil {
		t.Fatal(err)
	}
	if binding.Subjects[0] != ReadOnlyBinding().Subjects[0] {
		t.Errorf("bound to %v", binding.Subjects)
	}
	_, err = rbac.Roles(r.namespace).Create(t.Context(), &role, metav1.CreateOptions{})
	_, bound := rbac.RoleBindings(r.namespace).Create(t.Context(), &binding, metav1.CreateOptions{})
	if err := errors.Join(err, bound); err != nil {
		t.Fatal(err)
	}

	secret, web := r.app("secret"), r.app("web")
	secret.convergeSecret(key)
	web.converge(deployment, configMap("one", "key", "1"))
	r.audit()
	r.patch(secrets, "db", `[{"op":"remove","path":"/data/user"}]`)
	secret.hears("detected Secret/db removed")
	r.patch(deployments, "web", `[{"op":"replace","path":"/spec/replicas","value":5}]`)
	web.hears("detected Deployment/web changed")
	r.patch(gvk("", "v1", "ConfigMap"), "one", `[{"op":"replace","path":"/data/key","value":"2"}]`)
	web.hears("detected Deployment/web changed, detected ConfigMap/one changed")
	for _, a := range []*app{secret, web} {
		if e, err := r.reader.Last(t.Context(), events.TypeNamed("audit.limited").Subject(a.at())); !errors.Is(err, bus.ErrNone) {
			t.Errorf("%s: %+v, %v", a.declaration.Application, e.Data, err)
		}
	}
}
