// SPDX-License-Identifier: Apache-2.0

package kubelab_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// newNamespace makes a namespace for one test and removes it afterwards.
func newNamespace(t *testing.T, api kubernetes.Interface) string {
	t.Helper()
	namespace, err := api.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := api.CoreV1().Namespaces().Delete(context.Background(), namespace.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
	return namespace.Name
}

func podTemplate(labels map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/main:1"}}},
	}
}

func TestBoots(t *testing.T) {
	cluster := kubelab.ForTest(t)
	t.Logf("from process start to ready: %s", cluster.BootTime().Round(time.Millisecond))
	if cluster.BootTime() > time.Minute {
		t.Errorf("booted in %s", cluster.BootTime())
	}
	version, err := client(t, cluster.Kubeconfig()).Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if version.GitVersion != "v1.37.2" {
		t.Errorf("server is %s", version.GitVersion)
	}
}

func TestServerIsVerified(t *testing.T) {
	config := restConfig(t, kubelab.ForTest(t).Kubeconfig())
	config.CAData = nil // the system's authorities instead
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = api.Discovery().ServerVersion()
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		t.Errorf("want an unknown authority, got %v", err)
	}
}

func TestDeploymentBecomesAvailable(t *testing.T) {
	api := client(t, kubelab.ForTest(t).Kubeconfig())
	namespace := newNamespace(t, api)
	labels := map[string]string{"app": "web"}
	replicas := int32(2)
	began := time.Now()
	_, err := api.AppsV1().Deployments(namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: podTemplate(labels),
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		deployment, err := api.AppsV1().Deployments(namespace).Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range deployment.Status.Conditions {
			if condition.Type == appsv1.DeploymentAvailable && condition.Status == corev1.ConditionTrue && deployment.Status.AvailableReplicas == 2 {
				return nil
			}
		}
		return fmt.Errorf("status is %+v", deployment.Status)
	})
	t.Logf("2 replicas available after %s", time.Since(began).Round(time.Millisecond))
}

func TestJobCompletes(t *testing.T) {
	api := client(t, kubelab.ForTest(t).Kubeconfig())
	namespace := newNamespace(t, api)
	template := podTemplate(nil)
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	_, err := api.BatchV1().Jobs(namespace).Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "once"},
		Spec:       batchv1.JobSpec{Template: template},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		job, err := api.BatchV1().Jobs(namespace).Get(ctx, "once", metav1.GetOptions{})
		if err == nil && job.Status.Succeeded != 1 {
			err = fmt.Errorf("status is %+v", job.Status)
		}
		return err
	})
}

func TestDeletedNamespaceGoesAway(t *testing.T) {
	api := client(t, kubelab.ForTest(t).Kubeconfig())
	namespace := newNamespace(t, api)
	_, err := api.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "left-behind"},
		Spec:       podTemplate(nil).Spec,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := api.CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func(ctx context.Context) error {
		found, err := api.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		default:
			return fmt.Errorf("status is %+v", found.Status)
		}
	})
	t.Logf("gone after %s", time.Since(began).Round(time.Millisecond))
}

func TestCustomResourceIsServed(t *testing.T) {
	kubeconfig := kubelab.ForTest(t).Kubeconfig()
	namespace := newNamespace(t, client(t, kubeconfig))
	api, err := dynamic.NewForConfig(restConfig(t, kubeconfig))
	if err != nil {
		t.Fatal(err)
	}
	definitions := api.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	definition := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "lamps.example.com"},
		"spec": map[string]any{
			"group": "example.com", "scope": "Namespaced",
			"names": map[string]any{"plural": "lamps", "singular": "lamp", "kind": "Lamp"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object",
					"properties": map[string]any{"spec": map[string]any{
						"type":       "object",
						"properties": map[string]any{"watts": map[string]any{"type": "integer"}},
					}},
				}},
			}},
		},
	}}
	if _, err := definitions.Create(t.Context(), definition, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := definitions.Delete(context.Background(), "lamps.example.com", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	lamps := api.Resource(schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "lamps"}).Namespace(namespace)
	lamp := func(name string, watts any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.com/v1", "kind": "Lamp",
			"metadata": map[string]any{"name": name},
			"spec":     map[string]any{"watts": watts},
		}}
	}
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		_, err := lamps.Create(ctx, lamp("desk", int64(40)), metav1.CreateOptions{})
		return err
	})
	if _, err := lamps.Create(t.Context(), lamp("broken", "forty"), metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("the schema let a string pass for an integer: %v", err)
	}
}

func TestRBACBindsMintedUser(t *testing.T) {
	cluster := kubelab.ForTest(t)
	admin := client(t, cluster.Kubeconfig())
	namespace := newNamespace(t, admin)
	path, err := cluster.UserKubeconfig("plumbline:auditor/"+namespace, "team-a", "readers-of-"+namespace)
	if err != nil {
		t.Fatal(err)
	}
	api := client(t, path)
	who, err := api.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := who.Status.UserInfo; got.Username != "plumbline:auditor/"+namespace || len(got.Groups) != 3 || got.Groups[0] != "team-a" {
		t.Errorf("the API server takes the user for %+v", got)
	}
	list := func(ctx context.Context) error {
		_, err := api.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{})
		return err
	}
	if err := list(t.Context()); !apierrors.IsForbidden(err) {
		t.Fatalf("a new user may list ConfigMaps: %v", err)
	}

	_, err = admin.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "readers"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "readers-of-" + namespace}},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", APIGroup: rbacv1.GroupName, Name: "view"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, list)
	_, err = api.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("a reader may write: %v", err)
	}
}

func TestServiceAccountToken(t *testing.T) {
	kubeconfig := kubelab.ForTest(t).Kubeconfig()
	admin := client(t, kubeconfig)
	namespace := newNamespace(t, admin)
	var token *authenticationv1.TokenRequest
	eventually(t, 30*time.Second, func(ctx context.Context) (err error) {
		token, err = admin.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		return err
	})
	config := restConfig(t, kubeconfig)
	config.CertData, config.KeyData = nil, nil
	config.BearerToken = token.Status.Token
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	who, err := api.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "system:serviceaccount:" + namespace + ":default"; who.Status.UserInfo.Username != want {
		t.Errorf("the token is %s's, want %s", who.Status.UserInfo.Username, want)
	}
}

func TestRequestsAreCounted(t *testing.T) {
	cluster := kubelab.ForTest(t)
	admin := client(t, cluster.Kubeconfig())
	namespace := newNamespace(t, admin)
	const name = "counted"
	path, err := cluster.UserKubeconfig(name)
	if err != nil {
		t.Fatal(err)
	}
	api := client(t, path)
	before := time.Now()
	for range 3 {
		if _, err := api.CoreV1().Secrets(namespace).Get(t.Context(), "s", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
			t.Fatal(err)
		}
	}
	eventually(t, 10*time.Second, func(context.Context) error {
		requests, err := cluster.Requests(before)
		if err != nil {
			return err
		}
		count := 0
		for _, r := range requests {
			if r.User == name && r.Verb == "get" && r.Resource == "secrets" && r.Namespace == namespace && r.Name == "s" && r.Code == 403 {
				count++
			}
		}
		if count != 3 {
			return fmt.Errorf("%d of 3 requests in the log of %d", count, len(requests))
		}
		return nil
	})
}
