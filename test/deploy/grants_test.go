// SPDX-License-Identifier: Apache-2.0

package deploy

import "slices"

// What is meant to be granted, in words, and written by hand: the manifests say
// what is. Whoever widens a role says here what for.

// identity is who asks.
type identity string

const (
	applier  identity = "plumbline-applier" // a ServiceAccount's name
	auditor  identity = "plumbline-auditor"
	others   identity = "plumbline" // of watcher, renderer, notifier and the bus, whose pods get no token of it
	nobody   identity = ""          // those pods as they are: without a token
	tenants           = "shop"      // a namespace of applications
	foreign           = "elsewhere" // a namespace of somebody else
	home              = "plumbline-system"
	kube              = "kube-system"
	anywhere          = "" // a resource of the whole cluster
)

// declared are what applications declare, by group: what the applier applies and
// the auditor compares.
var declared = map[string][]string{
	"":                          {"configmaps", "persistentvolumeclaims", "pods", "secrets", "serviceaccounts", "services"},
	"apps":                      {"daemonsets", "deployments", "statefulsets"},
	"autoscaling":               {"horizontalpodautoscalers"},
	"batch":                     {"cronjobs", "jobs"},
	"networking.k8s.io":         {"ingresses", "networkpolicies"},
	"policy":                    {"poddisruptionbudgets"},
	"rbac.authorization.k8s.io": {"rolebindings", "roles"},
}

// ofTheCluster are what more may be declared where Plumbline is of the whole
// cluster.
var ofTheCluster = map[string][]string{
	"":                          {"limitranges", "namespaces", "resourcequotas"},
	"apiextensions.k8s.io":      {"customresourcedefinitions"},
	"networking.k8s.io":         {"ingressclasses"},
	"rbac.authorization.k8s.io": {"clusterrolebindings", "clusterroles"},
	"scheduling.k8s.io":         {"priorityclasses"},
	"storage.k8s.io":            {"storageclasses"},
}

var (
	reads  = []string{"get", "list", "watch"}
	writes = []string{"create", "update", "patch", "apply", "delete", "deletecollection"}
	// converges is how the applier writes: it never replaces, and deletes one
	// by one. To apply is to patch.
	converges = append(slices.Clone(reads), "create", "patch", "apply", "delete")
	// keeps is how it writes down what it owns.
	keeps = append(slices.Clone(reads), "create", "update", "delete")
)

// granted reports whether an identity is meant to be let do something where an
// overlay is applied.
func granted(overlay string, who identity, c cell) bool {
	if everybody(who, c) {
		return true
	}
	if who == applier && c.namespace == home && c.group == "" && c.resource == "configmaps" && slices.Contains(keeps, c.verb) {
		return true // its inventories
	}
	wide := overlay == overlays[1]
	secret := c.group == "" && c.resource == "secrets"
	if secret && c.namespace != tenants {
		return false // of no other namespace, Plumbline's own least of all
	}
	listed := slices.Contains(declared[c.group], c.resource) && (wide || c.namespace == tenants) ||
		slices.Contains(ofTheCluster[c.group], c.resource) && wide
	switch {
	case !listed:
		return false
	case who == applier:
		return slices.Contains(converges, c.verb)
	case who == auditor:
		return slices.Contains(reads, c.verb) && !(secret && wide)
	}
	return false
}

// everybody is what Kubernetes grants to all who are authenticated: questions
// about oneself, and what certificates to trust.
func everybody(who identity, c cell) bool {
	if who == nobody {
		return false
	}
	switch c.group + "/" + c.resource {
	case "authorization.k8s.io/selfsubjectaccessreviews", "authorization.k8s.io/selfsubjectrulesreviews", "authentication.k8s.io/selfsubjectreviews":
		return c.verb == "create"
	case "certificates.k8s.io/clustertrustbundles":
		return slices.Contains(reads, c.verb)
	}
	return false
}
