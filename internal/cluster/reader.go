// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plumbline-dev/plumbline/events"
)

// timeout bounds one request.
const timeout = 15 * time.Second

// Reader reads one cluster. It may be used from several goroutines.
type Reader struct {
	server string
	http   *http.Client
	bodies dynamic.Interface
	asks   kubernetes.Interface
	known  discovery.CachedDiscoveryInterface
	mapper meta.RESTMapper
}

// Options say which cluster to read and as whom.
type Options struct {
	Kubeconfig string // file
	Context    string // of that file; empty: its current one
	Agent      string // what the requests call themselves
}

// Open reads a kubeconfig. It speaks to nobody yet.
func Open(o Options) (*Reader, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: o.Kubeconfig}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.Context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", o.Kubeconfig, err)
	}
	config.UserAgent, config.QPS, config.Timeout = o.Agent, -1, timeout
	config.WarningHandler = rest.NoWarnings{}
	config.Wrap(stay(config.Host))
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return readOnly{next} })
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", o.Kubeconfig, err)
	}
	r := &Reader{server: config.Host, http: client}
	if r.bodies, err = dynamic.NewForConfigAndClient(config, client); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", o.Kubeconfig, err)
	}
	if r.asks, err = kubernetes.NewForConfigAndClient(config, client); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", o.Kubeconfig, err)
	}
	r.known = memory.NewMemCacheClient(r.asks.Discovery())
	r.mapper = restmapper.NewDeferredDiscoveryRESTMapper(r.known)
	return r, nil
}

// Server is the address of the API server.
func (r *Reader) Server() string { return r.server }

// ErrUnserved says that the cluster doesn't serve a kind.
var ErrUnserved = errors.New("the cluster doesn't serve this kind")

// Kind finds the kind that a person names as for kubectl: deploy, deployments,
// Deployment, deployments.apps, deployment.v1.apps. Its error wraps
// [ErrUnserved] where there is none.
func (r *Reader) Kind(named string) (schema.GroupKind, error) {
	mapper := restmapper.NewShortcutExpander(r.mapper, r.known, nil)
	full, group := schema.ParseResourceArg(named)
	var gvk schema.GroupVersionKind
	err := error(&meta.NoResourceMatchError{})
	if full != nil {
		gvk, err = mapper.KindFor(*full)
	}
	if err != nil {
		gvk, err = mapper.KindFor(group.WithVersion(""))
	}
	if err == nil {
		return gvk.GroupKind(), nil
	}
	if !meta.IsNoMatchError(err) {
		return schema.GroupKind{}, fmt.Errorf("read which kinds the cluster serves: %w", err)
	}
	kind := schema.ParseGroupKind(named)
	mapping, err := r.mapper.RESTMapping(kind)
	if meta.IsNoMatchError(err) {
		return schema.GroupKind{}, fmt.Errorf("%q: %w", named, ErrUnserved)
	}
	if err != nil {
		return schema.GroupKind{}, fmt.Errorf("read which kinds the cluster serves: %w", err)
	}
	return mapping.GroupVersionKind.GroupKind(), nil
}

// Resource is where a kind is served.
type Resource struct {
	schema.GroupVersionResource
	Namespaced bool
}

// Find finds where the kind of o is served: in its version, or, where it names
// none, in the one that the cluster prefers. Its error wraps [ErrUnserved]
// where it is not.
func (r *Reader) Find(o events.Object) (Resource, error) {
	var versions []string
	if o.Version != "" {
		versions = append(versions, o.Version)
	}
	mapping, err := r.mapper.RESTMapping(schema.GroupKind{Group: o.Group, Kind: o.Kind}, versions...)
	if meta.IsNoMatchError(err) {
		return Resource{}, fmt.Errorf("%s: %w", o.Kind, ErrUnserved)
	}
	if err != nil {
		return Resource{}, fmt.Errorf("read which kinds the cluster serves: %w", err)
	}
	return Resource{mapping.Resource, mapping.Scope.Name() == meta.RESTScopeNameNamespace}, nil
}

// Get reads one object, its scope and namespace resolved; nil where there is
// none, or where the cluster doesn't serve its kind.
func (r *Reader) Get(ctx context.Context, o events.Object) (*unstructured.Unstructured, error) {
	resource, err := r.Find(o)
	if errors.Is(err, ErrUnserved) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !resource.Namespaced {
		o.Namespace = ""
	}
	live, err := r.bodies.Resource(resource.GroupVersionResource).Namespace(o.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", o, err)
	}
	return live, nil
}

// Resolve fills in the namespace that o defaults to, or takes it away where its
// kind has none. A kind that is not served is taken for namespaced.
func (r *Reader) Resolve(o events.Object, namespace string) (events.Object, error) {
	resource, err := r.Find(o)
	switch {
	case errors.Is(err, ErrUnserved):
	case err != nil:
		return o, err
	case !resource.Namespaced:
		o.Namespace = ""
		return o, nil
	}
	if o.Namespace == "" {
		o.Namespace = namespace
	}
	return o, nil
}
