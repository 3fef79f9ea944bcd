// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"cmp"
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

// Kind is a kind of object, whatever version it is written in.
type Kind struct{ Group, Name string }

// String is Deployment.apps, as kubectl takes it.
func (k Kind) String() string {
	if k.Group == "" {
		return k.Name
	}
	return k.Name + "." + k.Group
}

// KindOf is the kind of an object.
func KindOf(o events.Object) Kind { return Kind{o.Group, o.Kind} }

// shortNames are those that the API server tells for its own kinds (kubectl
// api-resources).
var shortNames = map[string]Kind{
	"cm": {"", "ConfigMap"}, "ep": {"", "Endpoints"}, "limits": {"", "LimitRange"}, "ns": {"", "Namespace"},
	"no": {"", "Node"}, "po": {"", "Pod"}, "pv": {"", "PersistentVolume"}, "pvc": {"", "PersistentVolumeClaim"},
	"quota": {"", "ResourceQuota"}, "rc": {"", "ReplicationController"}, "sa": {"", "ServiceAccount"}, "svc": {"", "Service"},
	"deploy": {"apps", "Deployment"}, "ds": {"apps", "DaemonSet"}, "rs": {"apps", "ReplicaSet"}, "sts": {"apps", "StatefulSet"},
	"cj": {"batch", "CronJob"}, "hpa": {"autoscaling", "HorizontalPodAutoscaler"}, "pdb": {"policy", "PodDisruptionBudget"},
	"ing": {"networking.k8s.io", "Ingress"}, "netpol": {"networking.k8s.io", "NetworkPolicy"},
	"pc": {"scheduling.k8s.io", "PriorityClass"}, "sc": {"storage.k8s.io", "StorageClass"},
	"crd": {"apiextensions.k8s.io", "CustomResourceDefinition"}, "crds": {"apiextensions.k8s.io", "CustomResourceDefinition"},
}

// clusterScoped are Kubernetes' own kinds without namespaces. Others are taken
// for namespaced where no cluster is asked.
var clusterScoped = map[Kind]bool{
	{"", "Namespace"}: true, {"", "Node"}: true, {"", "PersistentVolume"}: true,
	{"rbac.authorization.k8s.io", "ClusterRole"}: true, {"rbac.authorization.k8s.io", "ClusterRoleBinding"}: true,
	{"apiextensions.k8s.io", "CustomResourceDefinition"}: true, {"apiregistration.k8s.io", "APIService"}: true,
	{"admissionregistration.k8s.io", "ValidatingWebhookConfiguration"}:   true,
	{"admissionregistration.k8s.io", "MutatingWebhookConfiguration"}:     true,
	{"admissionregistration.k8s.io", "ValidatingAdmissionPolicy"}:        true,
	{"admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"}: true,
	{"storage.k8s.io", "StorageClass"}:                                   true, {"storage.k8s.io", "CSIDriver"}: true,
	{"scheduling.k8s.io", "PriorityClass"}: true, {"networking.k8s.io", "IngressClass"}: true, {"node.k8s.io", "RuntimeClass"}: true,
}

// FindKinds are those of known that a person may mean: deploy, deployment,
// deployments, Deployment, deployments.apps, deployment.v1.apps. Without a
// cluster to ask, plurals are guessed as English makes them and the short names
// are those of Kubernetes' own kinds.
func FindKinds(named string, known []Kind) []Kind {
	name, group, grouped := strings.Cut(strings.ToLower(named), ".")
	var found []Kind
	for _, k := range known {
		if !means(name, k) || grouped && !inGroup(group, k) {
			continue
		}
		found = append(found, k)
	}
	slices.SortFunc(found, func(a, b Kind) int { return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Name, b.Name)) })
	return slices.Compact(found)
}

func means(name string, k Kind) bool {
	kind := strings.ToLower(k.Name)
	return name == kind || name == plural(kind) || shortNames[name] == k
}

// inGroup reports whether what follows the first dot is the group of k, a
// version of it in front or not.
func inGroup(said string, k Kind) bool {
	if said == k.Group {
		return true
	}
	version, rest, _ := strings.Cut(said, ".")
	return rest == k.Group && len(version) > 1 && version[0] == 'v' && version[1] >= '0' && version[1] <= '9'
}

// plural is how API servers name the resources of a kind, unless its author
// chose another name.
func plural(kind string) string {
	switch {
	case strings.HasSuffix(kind, "endpoints"):
		return kind
	case strings.HasSuffix(kind, "s"), strings.HasSuffix(kind, "x"), strings.HasSuffix(kind, "ch"), strings.HasSuffix(kind, "sh"):
		return kind + "es"
	case strings.HasSuffix(kind, "y") && len(kind) > 1 && !strings.ContainsRune("aeiou", rune(kind[len(kind)-2])):
		return kind[:len(kind)-1] + "ies"
	}
	return kind + "s"
}
