// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"fmt"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// TestMintedIdentityWritesNothing tries every way to write on every kind that
// the API server serves, and each is refused by RBAC.
func TestMintedIdentityWritesNothing(t *testing.T) {
	r := newRig(t)
	config, err := clientcmd.BuildConfigFromFlags("", r.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	auditor, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	served, err := kubernetes.NewForConfigOrDie(r.admin).Discovery().ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	attempts := 0
	for _, list := range served {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range list.APIResources {
			if version.Group == "authorization.k8s.io" || version.Group == "authentication.k8s.io" {
				continue // questions, not objects: every user may ask about itself
			}
			client := auditor.Resource(version.WithResource(kind.Name)).Namespace(namespaceOf(r, kind))
			for verb, try := range writes(t, client, list.GroupVersion, kind.Kind) {
				attempts++
				if err := try(); !apierrors.IsForbidden(err) {
					t.Errorf("%s %s.%s: %v, want forbidden", verb, kind.Name, version.Group, err)
				}
			}
		}
	}
	if attempts < 300 {
		t.Errorf("only %d attempts", attempts)
	}
	t.Logf("%d attempts to write, all denied", attempts)
	rightsOf(t, kubernetes.NewForConfigOrDie(config), r.namespace)
}

func namespaceOf(r *rig, kind metav1.APIResource) string {
	if kind.Namespaced {
		return r.namespace
	}
	return ""
}

func writes(t *testing.T, client dynamic.ResourceInterface, version, kind string) map[string]func() error {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": "x"}}}
	ctx := t.Context()
	dry := []string{metav1.DryRunAll}
	return map[string]func() error{
		"create":  func() error { _, err := client.Create(ctx, o, metav1.CreateOptions{}); return err },
		"dry run": func() error { _, err := client.Create(ctx, o, metav1.CreateOptions{DryRun: dry}); return err },
		"update":  func() error { _, err := client.Update(ctx, o, metav1.UpdateOptions{}); return err },
		"status":  func() error { _, err := client.UpdateStatus(ctx, o, metav1.UpdateOptions{}); return err },
		"apply": func() error {
			_, err := client.Apply(ctx, "x", o, metav1.ApplyOptions{FieldManager: "x", Force: true})
			return err
		},
		"patch": func() error {
			_, err := client.Patch(ctx, "x", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{})
			return err
		},
		"delete": func() error { return client.Delete(ctx, "x", metav1.DeleteOptions{}) },
		"delete collection": func() error {
			return client.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "nothing=here"})
		},
	}
}

// rightsOf asks the API server for all that the identity may do: nothing but
// reading, and what every user may.
func rightsOf(t *testing.T, client kubernetes.Interface, namespace string) {
	t.Helper()
	review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	reading := map[string]bool{"get": true, "list": true, "watch": true}
	for _, rule := range review.Status.ResourceRules {
		for _, verb := range rule.Verbs {
			groups := fmt.Sprint(rule.APIGroups)
			if !reading[verb] && groups != "[authorization.k8s.io]" && groups != "[authentication.k8s.io]" {
				t.Errorf("may %s %v in %v", verb, rule.Resources, rule.APIGroups)
			}
		}
	}
}

func TestRoleLeavesSecretsOut(t *testing.T) {
	for _, grant := range []Grant{{}, {Groups: []string{"lab.example", "apps", "lab.example"}}, {Secrets: true}} {
		secrets, groups := false, map[string]int{}
		for _, rule := range ReadOnlyRole(grant).Rules {
			for _, group := range rule.APIGroups {
				groups[group]++
				if group == "*" {
					t.Errorf("%+v: every group is granted", grant)
				}
				for _, resource := range rule.Resources {
					secrets = secrets || group == "" && (resource == "secrets" || resource == "*")
				}
			}
		}
		if secrets != grant.Secrets {
			t.Errorf("%+v: secrets granted: %v", grant, secrets)
		}
		if groups["apps"] != 1 || len(grant.Groups) > 0 && groups["lab.example"] != 1 {
			t.Errorf("%+v: groups %v", grant, groups)
		}
	}
}
