// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	kube "github.com/plumbline-dev/plumbline/internal/cluster"
)

const (
	// mintManager is the field manager of the identity's own objects.
	mintManager = "plumbline-up"
	// tokenLife is what is asked for; the API server may give less.
	tokenLife = 24 * time.Hour
	// renewEvery is well under the shortest life that an API server gives.
	renewEvery = 5 * time.Minute
)

// Identity is a read-only identity that was minted for the auditor.
type Identity struct {
	Kubeconfig string // path; it names a token file beside it
	admin      *rest.Config
	dir        string
	grant      Grant
}

// MintReadOnly makes an identity that may get, list and watch what may be
// applied, and nothing else: a ServiceAccount in plumbline-system, bound to
// [ReadOnlyRole] with the groups of every custom resource there is now added
// to g. It writes its kubeconfig and token into dir. admin must be allowed to
// grant what the role grants. The token expires: see [Identity.Keep].
func MintReadOnly(ctx context.Context, admin *rest.Config, dir string, g Grant) (*Identity, error) {
	id := &Identity{Kubeconfig: filepath.Join(dir, "auditor.kubeconfig"), admin: admin, dir: dir, grant: g}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mint a read-only identity: %w", err)
	}
	for _, step := range []func(context.Context) error{id.bind, id.renew, id.write} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("mint a read-only identity: %w", err)
		}
	}
	return id, nil
}

// MintReadOnlyFrom is [MintReadOnly] as the administrator that a kubeconfig
// file names.
func MintReadOnlyFrom(ctx context.Context, kubeconfig, dir string, g Grant) (*Identity, error) {
	admin, err := kube.Config(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("mint a read-only identity: %w", err)
	}
	return MintReadOnly(ctx, admin, dir, g)
}

// Keep renews the token and extends the role by the groups of custom resources
// as they are defined, until ctx ends.
func (id *Identity) Keep(ctx context.Context, log *slog.Logger) {
	for ctx.Err() == nil {
		until, cancel := context.WithTimeout(ctx, renewEvery)
		err := id.follow(until)
		cancel()
		if err == nil && ctx.Err() == nil {
			err = id.renew(ctx)
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("the auditor's identity could not be kept up to date; trying again", "error", err)
			sleep(ctx, time.Second)
		}
	}
}

var customResources = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// follow updates the role whenever a CRD comes or goes, until ctx ends.
func (id *Identity) follow(ctx context.Context) error {
	heads, err := metadata.NewForConfig(id.admin)
	if err != nil {
		return err
	}
	// The place to watch from is taken first: what is defined after it is seen by
	// the watch, and what was before it by bind.
	list, err := heads.Resource(customResources).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	if err := id.bind(ctx); err != nil {
		return err
	}
	w, err := heads.Resource(customResources).Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, open := <-w.ResultChan():
			if !open {
				return nil
			}
			if err := id.bind(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// bind writes namespace, account, role and binding.
func (id *Identity) bind(ctx context.Context) error {
	client, err := dynamic.NewForConfig(id.admin)
	if err != nil {
		return err
	}
	groups, err := id.customGroups(ctx)
	if err != nil {
		return err
	}
	grant := Grant{Groups: append(slices.Clone(id.grant.Groups), groups...), Secrets: id.grant.Secrets}
	rbac := schema.GroupVersion{Group: "rbac.authorization.k8s.io", Version: "v1"}
	for _, o := range []struct {
		resource  schema.GroupVersionResource
		namespace string
		object    runtime.Object
	}{
		{schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, "", &corev1.Namespace{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: Namespace},
		}},
		{schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}, Namespace, &corev1.ServiceAccount{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: metav1.ObjectMeta{Name: ServiceAccount, Namespace: Namespace},
		}},
		{rbac.WithResource("clusterroles"), "", ReadOnlyRole(grant)},
		{rbac.WithResource("clusterrolebindings"), "", ReadOnlyBinding()},
	} {
		body, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o.object)
		if err != nil {
			return err
		}
		u := &unstructured.Unstructured{Object: body}
		unstructured.RemoveNestedField(body, "status")
		unstructured.RemoveNestedField(body, "spec")
		if _, err := client.Resource(o.resource).Namespace(o.namespace).Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: mintManager, Force: true}); err != nil {
			return fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
	return nil
}

// customGroups are the API groups of all custom resources. A CRD is named
// <plural>.<group>, so its metadata tells.
func (id *Identity) customGroups(ctx context.Context) ([]string, error) {
	heads, err := metadata.NewForConfig(id.admin)
	if err != nil {
		return nil, err
	}
	list, err := heads.Resource(customResources).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list custom resource definitions: %w", err)
	}
	var groups []string
	for _, crd := range list.Items {
		if _, group, ok := strings.Cut(crd.Name, "."); ok {
			groups = append(groups, group)
		}
	}
	return groups, nil
}

func (id *Identity) tokenFile() string { return filepath.Join(id.dir, "auditor.token") }

// renew asks for a token and replaces the token file, which clients read again
// from time to time.
func (id *Identity) renew(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(id.admin)
	if err != nil {
		return err
	}
	seconds := int64(tokenLife / time.Second)
	answer, err := client.CoreV1().ServiceAccounts(Namespace).CreateToken(ctx, ServiceAccount, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	if apierrors.IsNotFound(err) {
		return errors.New("the API server issues no tokens for ServiceAccounts; give --auditor-kubeconfig")
	}
	if err != nil {
		return fmt.Errorf("ask for a token: %w", err)
	}
	next := id.tokenFile() + ".next"
	if err := os.WriteFile(next, []byte(answer.Status.Token), 0o600); err != nil {
		return err
	}
	return os.Rename(next, id.tokenFile())
}

// write writes the kubeconfig.
func (id *Identity) write(context.Context) error {
	config := clientcmdapi.NewConfig()
	cluster := clientcmdapi.NewCluster()
	cluster.Server = id.admin.Host
	cluster.TLSServerName = id.admin.ServerName
	cluster.CertificateAuthorityData = id.admin.CAData
	if len(cluster.CertificateAuthorityData) == 0 && id.admin.CAFile != "" {
		ca, err := os.ReadFile(id.admin.CAFile)
		if err != nil {
			return err
		}
		cluster.CertificateAuthorityData = ca
	}
	config.Clusters["cluster"] = cluster
	config.AuthInfos["auditor"] = &clientcmdapi.AuthInfo{TokenFile: id.tokenFile()}
	config.Contexts["auditor"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "auditor"}
	config.CurrentContext = "auditor"
	return clientcmd.WriteToFile(*config, id.Kubeconfig)
}
