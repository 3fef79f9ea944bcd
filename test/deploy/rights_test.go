// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"fmt"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// rule is one right: a verb on a resource.
type rule struct{ group, resource, verb string }

// rules are the rights of every role of a list of objects, by kind and name.
func rules(t *testing.T, objects []*unstructured.Unstructured) map[string][]rule {
	t.Helper()
	all := map[string][]rule{}
	for _, o := range objects {
		var given []rbacv1.PolicyRule
		switch o.GetKind() {
		case "Role":
			given = as[rbacv1.Role](t, o).Rules
		case "ClusterRole":
			given = as[rbacv1.ClusterRole](t, o).Rules
		}
		for _, g := range given {
			if len(g.NonResourceURLs) > 0 {
				t.Errorf("%s: %v", named(o), g.NonResourceURLs)
			}
			for _, group := range g.APIGroups {
				for _, resource := range g.Resources {
					for _, verb := range g.Verbs {
						all[named(o)] = append(all[named(o)], rule{group, resource, verb})
					}
				}
			}
		}
	}
	return all
}

// No right is a wildcard or a way to more rights.
func TestRightsAreNamedOneByOne(t *testing.T) {
	for _, overlay := range overlays {
		all := rules(t, render(t, overlay))
		if len(all) < 3 {
			t.Errorf("%s: %d roles", overlay, len(all))
		}
		for role, given := range all {
			for _, r := range given {
				if r.group == "*" || r.resource == "*" || r.verb == "*" {
					t.Errorf("%s: %s: a wildcard: %v", overlay, role, r)
				}
				if slices.Contains([]string{"escalate", "bind", "impersonate", "approve", "sign"}, r.verb) ||
					slices.Contains([]string{"serviceaccounts/token", "pods/exec", "nodes/proxy", "certificatesigningrequests"}, r.resource) {
					t.Errorf("%s: %s: a way to more rights: %v", overlay, role, r)
				}
			}
		}
	}
}

func TestTheAuditorReadsWhatTheApplierWritesAndNoMore(t *testing.T) {
	reading := []string{"get", "list", "watch"}
	for overlay, suffix := range map[string]string{overlays[0]: "", overlays[1]: "-kubernetes"} {
		kind := map[string]string{overlays[0]: "Role shop", overlays[1]: "ClusterRole"}[overlay]
		all := rules(t, render(t, overlay))
		applier, auditor := all[kind+" plumbline-applier"+suffix], all[kind+" plumbline-auditor"+suffix]
		if len(applier) == 0 || len(auditor) == 0 {
			t.Fatalf("%s: no rights: %v", overlay, all)
		}
		for _, r := range auditor {
			if !slices.Contains(reading, r.verb) || !slices.Contains(applier, r) {
				t.Errorf("%s: the auditor may %v", overlay, r)
			}
		}
		for _, r := range applier {
			if slices.Contains(reading, r.verb) && !slices.Contains(auditor, r) {
				t.Errorf("%s: the auditor may not %v", overlay, r)
			}
		}
	}
}

// The overlay namespaced grants nothing outside of its namespaces, and the
// applier is told to keep to just those.
func TestNamespacedGrantsNothingElsewhere(t *testing.T) {
	objects := render(t, overlays[0])
	granted := map[string]bool{}
	for _, o := range objects {
		switch o.GetKind() {
		case "ClusterRole", "ClusterRoleBinding":
			t.Errorf("%s is of the whole cluster", named(o))
		case "RoleBinding":
			b := as[rbacv1.RoleBinding](t, o)
			if b.RoleRef.Kind != "Role" {
				t.Errorf("%s binds a %s", named(o), b.RoleRef.Kind)
			}
			for _, s := range b.Subjects {
				if s.Kind != "ServiceAccount" || s.Namespace != "plumbline-system" {
					t.Errorf("%s is of %v", named(o), s)
				}
				if s.Name == "plumbline-applier" && b.Namespace != "plumbline-system" {
					granted[b.Namespace] = true
				}
			}
		}
	}
	for _, settings := range configMaps(t, objects) {
		if want := fmt.Sprint(map[string]bool{settings["NAMESPACES"]: true}); fmt.Sprint(granted) != want {
			t.Errorf("granted %v, held to %s", granted, want)
		}
	}
	if args := workloads(t, objects)["plumbline-applier"].pod.Spec.Containers[0].Args; !slices.Contains(args, "--namespaces=$(NAMESPACES)") {
		t.Errorf("the applier is held to nothing: %v", args)
	}
}
