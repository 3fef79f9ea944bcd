// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names of the auditor's identity in the cluster that it audits.
const (
	Namespace      = "plumbline-system"
	ServiceAccount = "plumbline-auditor"
	RoleName       = "plumbline-auditor"
)

// readable are the resources of Kubernetes' own API groups that a Git
// repository may declare. Secrets are not among them: RBAC can't grant their
// metadata alone.
var readable = map[string][]string{
	"": {
		"configmaps", "endpoints", "limitranges", "namespaces", "persistentvolumeclaims", "persistentvolumes", "pods",
		"podtemplates", "replicationcontrollers", "resourcequotas", "serviceaccounts", "services",
	},
	"admissionregistration.k8s.io": {"*"},
	"apiextensions.k8s.io":         {"customresourcedefinitions"},
	"apiregistration.k8s.io":       {"apiservices"},
	"apps":                         {"controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"},
	"autoscaling":                  {"horizontalpodautoscalers"},
	"batch":                        {"cronjobs", "jobs"},
	"coordination.k8s.io":          {"leases"},
	"discovery.k8s.io":             {"endpointslices"},
	"flowcontrol.apiserver.k8s.io": {"flowschemas", "prioritylevelconfigurations"},
	"networking.k8s.io":            {"*"},
	"node.k8s.io":                  {"runtimeclasses"},
	"policy":                       {"poddisruptionbudgets"},
	"rbac.authorization.k8s.io":    {"clusterrolebindings", "clusterroles", "rolebindings", "roles"},
	"resource.k8s.io":              {"deviceclasses", "resourceclaims", "resourceclaimtemplates"},
	"scheduling.k8s.io":            {"priorityclasses"},
	"storage.k8s.io":               {"csidrivers", "storageclasses", "volumeattributesclasses"},
}

// Grant is what the auditor may read beyond the kinds of Kubernetes itself.
type Grant struct {
	// Groups are API groups of custom resources.
	Groups []string
	// Secrets grants reading every Secret of the cluster. To grant those of
	// one namespace, leave it false and bind a Role there.
	Secrets bool
}

// ReadOnlyRole returns the ClusterRole of the auditor: get, list and watch on
// what may be applied, and nothing else.
func ReadOnlyRole(g Grant) *rbacv1.ClusterRole {
	role := &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: RoleName},
	}
	add := func(group string, resources ...string) {
		role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: []string{"get", "list", "watch"}})
	}
	groups := make([]string, 0, len(readable))
	for group := range readable {
		groups = append(groups, group)
	}
	slices.Sort(groups)
	for _, group := range groups {
		add(group, readable[group]...)
	}
	extra := slices.Clone(g.Groups)
	slices.Sort(extra)
	for _, group := range slices.Compact(extra) {
		if _, own := readable[group]; !own {
			add(group, "*")
		}
	}
	if g.Secrets {
		add("", "secrets")
	}
	return role
}

// ReadOnlyBinding returns the ClusterRoleBinding of [ReadOnlyRole] to the
// auditor's ServiceAccount.
func ReadOnlyBinding() *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: RoleName},
		RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: RoleName},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: Namespace, Name: ServiceAccount}},
	}
}
