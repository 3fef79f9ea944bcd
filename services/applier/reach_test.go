// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

func TestReach(t *testing.T) {
	in := func(namespace string) events.Object { return events.Object{Kind: "X", Namespace: namespace, Name: "x"} }
	for _, c := range []struct {
		reach     reach
		namespace string
		holds     bool
		scope     string
	}{
		{nil, "", true, ""},
		{nil, "a", true, ""},
		{reach{"a", "b"}, "b", true, "b"},
		{reach{"a", "b"}, "c", false, "c"},
		{reach{"a"}, "", false, ""},
	} {
		if holds, scope := c.reach.holds(in(c.namespace)), c.reach.scope(in(c.namespace)); holds != c.holds || scope != c.scope {
			t.Errorf("%v of %q: held %v, watched in %q", c.reach, c.namespace, holds, scope)
		}
	}
	for _, o := range []events.Object{{Kind: "Secret", Namespace: "a"}, {Group: "example.com", Kind: "Secret", Namespace: "a"}} {
		want := map[bool]string{true: "a"}[o.Group == ""]
		if scope := reach(nil).scope(o); scope != want {
			t.Errorf("%s of %q is watched in %q, want %q", o.Kind, o.Group, scope, want)
		}
	}
	for _, namespaces := range [][]string{{""}, {"shop", ""}, {systemNamespace}} {
		cfg := Config{Cluster: "local", Resync: syncTimeout, Namespaces: namespaces}
		if _, err := cfg.withDefaults(); err == nil || !strings.Contains(err.Error(), "--namespaces") {
			t.Errorf("%q: %v", namespaces, err)
		}
	}
}

// grant applies the accounts and rights of a kustomization, as shipped, and
// returns what the applier's service account connects with. What names no
// namespace is put into the test's where it is of one.
func (r *rig) grant(folder string) *rest.Config {
	r.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "../../deploy/kubernetes/"+folder)
	r.must(err)
	rbac := schema.GroupVersion{Group: rbacv1.GroupName, Version: "v1"}
	kinds := []struct { // in the order in which they need one another
		kind     string
		resource schema.GroupVersionResource
	}{
		{"Namespace", namespaces},
		{"ServiceAccount", schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}},
		{"Role", rbac.WithResource("roles")},
		{"ClusterRole", rbac.WithResource("clusterroles")},
		{"RoleBinding", rbac.WithResource("rolebindings")},
		{"ClusterRoleBinding", rbac.WithResource("clusterrolebindings")},
	}
	for _, k := range kinds {
		for _, shipped := range resources.Resources() {
			if shipped.GetKind() != k.kind {
				continue
			}
			body, err := shipped.Map()
			r.must(err)
			o := &unstructured.Unstructured{Object: body}
			if o.GetNamespace() == "" && (k.kind == "Role" || k.kind == "RoleBinding") {
				o.SetNamespace(r.namespace)
			}
			_, err = r.client(k.resource, o.GetNamespace()).Apply(r.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "test", Force: true})
			r.must(err)
			if o.GetNamespace() == "" && k.kind != "Namespace" { // not for the next test
				r.Cleanup(func() {
					_ = r.admin.Resource(k.resource).Delete(context.Background(), o.GetName(), metav1.DeleteOptions{})
				})
			}
		}
	}
	admin, err := clientcmd.BuildConfigFromFlags("", r.lab.Kubeconfig())
	r.must(err)
	typed, err := kubernetes.NewForConfig(admin)
	r.must(err)
	token, err := typed.CoreV1().ServiceAccounts(systemNamespace).CreateToken(r.Context(), "plumbline-applier", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	r.must(err)
	as := rest.AnonymousClientConfig(admin)
	as.BearerToken = token.Status.Token
	r.mayApply(as)
	return as
}

// mayApply waits until an identity may do what was granted: a role is the sum of
// others when the controller manager has made it that, and holds when the API
// server has heard of it.
func (r *rig) mayApply(as *rest.Config) {
	r.Helper()
	typed, err := kubernetes.NewForConfig(as)
	r.must(err)
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: r.namespace, Verb: "list", Resource: "configmaps"},
	}}
	r.eventually("what was granted holds", func() bool {
		answer, err := typed.AuthorizationV1().SelfSubjectAccessReviews().Create(r.Context(), review, metav1.CreateOptions{})
		return err == nil && answer.Status.Allowed
	})
}

// inNamespace has the rest of a test happen in a namespace.
func (r *rig) inNamespace(name string) {
	r.Helper()
	r.clean()
	r.namespace = name
	r.create(namespaces, "", `{apiVersion: v1, kind: Namespace, metadata: {name: `+name+`}}`)
}

// rendered is the newest bundle of an application.
func (r *rig) rendered(name string) events.Event {
	r.Helper()
	e, err := r.reader.Last(r.Context(), typeRendered.Subject(events.Address{Cluster: "local", Application: name}))
	r.must(err)
	return e
}

// refused commits what the applier may not apply and returns why it says so.
func (r *rig) refused(name, yaml string) *events.ConvergenceFailed {
	r.Helper()
	r.commit(name, yaml)
	failed := payload[*events.ConvergenceFailed](r.await(name, "failed", 1))
	if failed.Reason != events.ReasonForbidden {
		r.Errorf("%s: the reason is %s: %s", name, failed.Reason, failed.Message)
	}
	r.Logf("%s: %s", name, failed.Message)
	return failed
}

func wants(t testing.TB, message string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(message, w) {
			t.Errorf("it doesn't say %q: %s", w, message)
		}
	}
}

const commonYAML = `apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: v1
kind: Secret
metadata: {name: web}
stringData: {password: horse}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: web}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: web}
subjects: [{kind: ServiceAccount, name: web}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec: {podSelector: {}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: web}
spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: web}]}}}}}
---
`

// With exactly the rights of the overlay namespaced, an application in its
// namespace converges, heals and is pruned, its inventory is rebuilt, and what
// lies elsewhere is refused with what to grant.
func TestAdvisoryC11HeldToItsNamespacesByTheShippedRights(t *testing.T) {
	r := newRig(t)
	r.inNamespace("shop")
	identity, _, err := seal.EnsureIdentity(filepath.Join(t.TempDir(), "age.key"))
	r.must(err)
	r.identity = &identity
	as := r.grant("overlays/namespaced")
	r.namespaces = []string{"shop"}
	stop := r.startOn(as)

	all := commonYAML + deploymentYAML("web", "", 1) + "---\n"
	r.declare("web", func(d *events.Declaration) { d.CreateNamespace = true }) // which is there
	r.fleet()
	r.commit("web", all+configMapYAML("one", "1")+configMapYAML("two", "1"))
	r.await("web", "completed", 1)
	r.commit("web", all+configMapYAML("one", "2"))
	if applied := r.applied("web", 2); applied.Counts.Configured != 1 || applied.Counts.Pruned != 1 {
		t.Errorf("got %+v", applied.Counts)
	}
	r.await("web", "completed", 2)

	wants(t, r.refused("away", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n").Message, "namespace default", "--namespaces", "grant")
	wants(t, r.refused("wide", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop-too}\n").Message, "Namespace/shop-too", "whole cluster", "ClusterRole")
	wants(t, r.refused("quota", "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q}\n").Message, "list and watch ResourceQuota in the namespace shop", "grant")
	escalates := "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: more}\nrules: [{apiGroups: [''], resources: [limitranges], verbs: [delete]}]\n"
	wants(t, r.refused("more", escalates).Message, "Role", "more", "attempting to grant")

	stop()
	r.must(r.admin.Resource(configMaps_).Namespace(systemNamespace).Delete(r.Context(), inventoryName("web"), metav1.DeleteOptions{}))
	r.commit("web", all)
	r.startOn(as)
	if applied := r.applied("web", 3); applied.Counts.Pruned != 1 {
		t.Errorf("rebuilt: got %+v", applied.Counts)
	}
}

// With exactly the rights of the overlay cluster-wide, namespaces, CRDs and
// cluster roles go; webhooks, and rights that the applier doesn't have, don't;
// and a kind of one's own does once a labelled ClusterRole grants it.
func TestClusterWideByTheShippedRightsIsNoAdministrator(t *testing.T) {
	r := newRig(t)
	as := r.grant("overlays/cluster-wide")
	r.startOn(as)

	own := r.namespace + "-own"
	t.Cleanup(func() { _ = r.admin.Resource(namespaces).Delete(context.Background(), own, metav1.DeleteOptions{}) })
	r.commit("wide", "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+own+"}\n---\n"+
		strings.Replace(configMapYAML("one", "1"), "{name: one}", "{name: one, namespace: "+own+"}", 1)+
		"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: "+own+"}\nrules: [{apiGroups: [apps], resources: [deployments], verbs: [get]}]\n---\n"+
		crdYAML("levers"))
	r.await("wide", "completed", 1)

	wants(t, r.refused("hook", `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: gate}
webhooks: []
`).Message, "ValidatingWebhookConfiguration.admissionregistration.k8s.io", "grant")
	wants(t, r.refused("admin", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: all}\nrules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]\n").Message, "attempting to grant")
	wants(t, r.refused("bind", `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: all}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, namespace: `+own+`, name: default}]
`).Message, "attempting to grant")

	lever := "apiVersion: example.com/v1\nkind: Lever\nmetadata: {name: one}\nspec: {scale: 5}\n"
	wants(t, r.refused("lever", lever).Message, "Lever.example.com", "grant")
	clusterRoles := schema.GroupVersionResource{Group: rbacv1.GroupName, Version: "v1", Resource: "clusterroles"}
	r.create(clusterRoles, "", `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole,
		metadata: {name: levers, labels: {plumbline.dev/aggregate-to-applier: "true"}},
		rules: [{apiGroups: [example.com], resources: [levers], verbs: [get, list, watch, create, patch, delete]}]}`)
	t.Cleanup(func() {
		_ = r.admin.Resource(clusterRoles).Delete(context.Background(), "levers", metav1.DeleteOptions{})
	})
	r.eventually("the role is the sum of what is labelled", func() bool {
		u, err := r.admin.Resource(clusterRoles).Get(t.Context(), "plumbline-applier", metav1.GetOptions{})
		r.must(err)
		rules, _, _ := unstructured.NestedSlice(u.Object, "rules") //nolint:errcheck // none yet
		return slices.ContainsFunc(rules, func(rule any) bool {
			groups, _, _ := unstructured.NestedStringSlice(rule.(map[string]any), "apiGroups") //nolint:errcheck // it is a rule
			return slices.Contains(groups, "example.com")
		})
	})
	r.sync()
	r.await("lever", "completed", 1)
}

// With the rights of the overlay cluster-wide a Secret goes where that is granted,
// and nowhere else; it is pruned, and its inventory rebuilt, by that right alone. What
// carries the label of an application anywhere in the cluster is rebuilt: its name is
// no other test's.
func TestClusterWideAppliesSecretsWhereThatIsGranted(t *testing.T) {
	r := newRig(t)
	identity, _, err := seal.EnsureIdentity(filepath.Join(t.TempDir(), "age.key"))
	r.must(err)
	r.identity = &identity
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("of sealed it was said:%s", r.story("sealed"))
		}
	})
	as := r.grant("overlays/cluster-wide")
	stop := r.startOn(as)

	const secretYAML = "apiVersion: v1\nkind: Secret\nmetadata: {name: sealed}\nstringData: {password: horse}\n---\n"
	wants(t, r.refused("sealed", secretYAML+configMapYAML("one", "1")).Message, "Secret in the namespace "+r.namespace, "grant")
	r.commit("beside", configMapYAML("beside", "1"))
	r.await("beside", "completed", 1)

	r.grant("secrets")
	r.sync()
	r.await("sealed", "completed", 1)
	r.edit(secrets, "sealed", `{"stringData":{"password":"cow"}}`)
	r.diverged(r.rendered("sealed"), events.Object{Version: "v1", Kind: "Secret", Namespace: r.namespace, Name: "sealed"})
	if healed := r.applied("sealed", 2); healed.Counts.Configured != 1 {
		t.Errorf("got %+v", healed.Counts)
	}

	stop()
	r.must(r.admin.Resource(configMaps_).Namespace(systemNamespace).Delete(r.Context(), inventoryName("sealed"), metav1.DeleteOptions{}))
	r.commit("sealed", configMapYAML("one", "1"))
	r.startOn(as)
	r.eventually("the Secret is pruned", func() bool { return r.get(secrets, "sealed") == nil })
}
