// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

// phase is a step of the apply order: everything in one phase is applied at
// once, and the next begins when it is done.
type phase int

const (
	phaseGround    phase = iota // Namespaces and CRDs; the next phase waits until they are established
	phaseConfig                 // what workloads read when they start: accounts, rights, configuration, storage
	phaseWorkload               // everything else
	phaseAdmission              // webhooks and aggregated APIs: applied sooner they could refuse their own backend
	phaseCount
)

func (p phase) String() string {
	return [...]string{"ground", "config", "workload", "admission"}[p]
}

var phases = map[string]phase{
	"/Namespace": phaseGround,
	"apiextensions.k8s.io/CustomResourceDefinition": phaseGround,

	"/ServiceAccount":                              phaseConfig,
	"/Secret":                                      phaseConfig,
	"/ConfigMap":                                   phaseConfig,
	"/ResourceQuota":                               phaseConfig,
	"/LimitRange":                                  phaseConfig,
	"/PersistentVolume":                            phaseConfig,
	"/PersistentVolumeClaim":                       phaseConfig,
	"/Service":                                     phaseConfig,
	"storage.k8s.io/StorageClass":                  phaseConfig,
	"scheduling.k8s.io/PriorityClass":              phaseConfig,
	"node.k8s.io/RuntimeClass":                     phaseConfig,
	"rbac.authorization.k8s.io/Role":               phaseConfig,
	"rbac.authorization.k8s.io/ClusterRole":        phaseConfig,
	"rbac.authorization.k8s.io/RoleBinding":        phaseConfig,
	"rbac.authorization.k8s.io/ClusterRoleBinding": phaseConfig,

	"admissionregistration.k8s.io/ValidatingWebhookConfiguration":   phaseAdmission,
	"admissionregistration.k8s.io/MutatingWebhookConfiguration":     phaseAdmission,
	"admissionregistration.k8s.io/ValidatingAdmissionPolicy":        phaseAdmission,
	"admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding": phaseAdmission,
	"apiregistration.k8s.io/APIService":                             phaseAdmission,
}

func groupKind(o events.Object) string { return o.Group + "/" + o.Kind }

func phaseOf(o events.Object) phase {
	if p, ok := phases[groupKind(o)]; ok {
		return p
	}
	return phaseWorkload
}

// protected are the kinds whose deletion takes more with it than the object
// itself: never without an approval.
var protected = map[string]bool{
	"/Namespace":             true,
	"/PersistentVolume":      true,
	"/PersistentVolumeClaim": true,
	"apiextensions.k8s.io/CustomResourceDefinition": true,
}

// statusKinds are the kinds of Kubernetes itself whose health shows in their
// status.
var statusKinds = map[string]bool{
	"/Pod": true, "/PersistentVolumeClaim": true, "/Namespace": true, "/ReplicationController": true,
	"apps/Deployment": true, "apps/StatefulSet": true, "apps/DaemonSet": true, "apps/ReplicaSet": true,
	"batch/Job": true,
	"apiextensions.k8s.io/CustomResourceDefinition": true,
	"apiregistration.k8s.io/APIService":             true,
}

// needsStatus says whether o's health can be told only from its status. Of
// the kinds that Kubernetes serves itself those are few; a custom resource
// may always have a condition.
func needsStatus(group, kind string) bool {
	builtin := !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
	if builtin {
		return statusKinds[group+"/"+kind]
	}
	return true
}
