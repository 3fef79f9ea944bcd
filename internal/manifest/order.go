// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"slices"

	"github.com/plumbline-dev/plumbline/events"
)

type groupKind struct{ group, kind string }

// ranks is the order of application: what others need comes first. Kinds that
// are not here are custom resources: they come after the workloads that may
// serve them and before the admission rules that may stand in their way.
var ranks = map[groupKind]int{}

const rankCustom = 1000

func init() {
	before := []groupKind{
		{"", "Namespace"},
		{"apiextensions.k8s.io", "CustomResourceDefinition"},
		{"scheduling.k8s.io", "PriorityClass"},
		{"node.k8s.io", "RuntimeClass"},
		{"storage.k8s.io", "StorageClass"},
		{"storage.k8s.io", "CSIDriver"},
		{"networking.k8s.io", "IngressClass"},
		{"", "ResourceQuota"},
		{"", "LimitRange"},
		{"", "ServiceAccount"},
		{"rbac.authorization.k8s.io", "ClusterRole"},
		{"rbac.authorization.k8s.io", "ClusterRoleBinding"},
		{"rbac.authorization.k8s.io", "Role"},
		{"rbac.authorization.k8s.io", "RoleBinding"},
		{"networking.k8s.io", "NetworkPolicy"},
		{"", "ConfigMap"},
		{"", "Secret"},
		{"", "PersistentVolume"},
		{"", "PersistentVolumeClaim"},
		{"", "Service"},
		{"", "Endpoints"},
		{"discovery.k8s.io", "EndpointSlice"},
		{"policy", "PodDisruptionBudget"},
		{"apps", "DaemonSet"},
		{"", "Pod"},
		{"", "ReplicationController"},
		{"apps", "ReplicaSet"},
		{"apps", "Deployment"},
		{"apps", "StatefulSet"},
		{"autoscaling", "HorizontalPodAutoscaler"},
		{"batch", "Job"},
		{"batch", "CronJob"},
		{"networking.k8s.io", "Ingress"},
		{"apiregistration.k8s.io", "APIService"},
	}
	after := []groupKind{
		{"admissionregistration.k8s.io", "ValidatingAdmissionPolicy"},
		{"admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"},
		{"admissionregistration.k8s.io", "MutatingAdmissionPolicy"},
		{"admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"},
		{"admissionregistration.k8s.io", "MutatingWebhookConfiguration"},
		{"admissionregistration.k8s.io", "ValidatingWebhookConfiguration"},
	}
	for i, k := range before {
		ranks[k] = i
	}
	for i, k := range after {
		ranks[k] = rankCustom + 1 + i
	}
}

// Rank is the place of a kind in the order of application; lower goes first.
func Rank(group, kind string) int {
	if r, ok := ranks[groupKind{group, kind}]; ok {
		return r
	}
	return rankCustom
}

// Compare orders two objects: by rank, then by group, kind, namespace, name
// and version, so that the order is the same whatever it was before.
func Compare(a, b events.Object) int {
	return cmp.Or(
		cmp.Compare(Rank(a.Group, a.Kind), Rank(b.Group, b.Kind)),
		cmp.Compare(a.Group, b.Group),
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Version, b.Version),
	)
}

// Sort puts objects into the order of application.
func Sort(objects []Object) {
	slices.SortStableFunc(objects, func(a, b Object) int { return Compare(a.Object, b.Object) })
}
