// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fault"
)

// cluster is the API server that is audited, read only.
type cluster struct {
	name   string
	bodies dynamic.Interface
	heads  metadata.Interface
	kinds  discovery.DiscoveryInterface
	mapper meta.ResettableRESTMapper

	mu         sync.Mutex
	discovered time.Time // when the kinds were last asked for anew
	// served is what the mapper has said since: it is asked for every object of
	// every bundle, and goes through all kinds each time.
	served map[served]*meta.RESTMapping
}

// served is a kind in one version.
type served struct {
	kind    schema.GroupKind
	version string
}

func newCluster(name string, config *rest.Config, version string) (*cluster, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = "plumbline-auditor/" + version
	config.QPS = -1 // the API server's own priority and fairness is the limit
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("client for cluster %s: %w", name, err)
	}
	return newClusterFor(name, config, client)
}

func newClusterFor(name string, config *rest.Config, client *http.Client) (*cluster, error) {
	bodies, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("client for cluster %s: %w", name, err)
	}
	heads, err := metadata.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("client for cluster %s: %w", name, err)
	}
	resources, err := discovery.NewDiscoveryClientForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("client for cluster %s: %w", name, err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(resources))
	return &cluster{name: name, bodies: bodies, heads: heads, kinds: resources, mapper: mapper, served: map[served]*meta.RESTMapping{}}, nil
}

// errUnserved says that the API server doesn't know a kind.
var errUnserved = errors.New("kind is not served")

// resource finds the resource of a kind and whether it is namespaced. Its
// error wraps errUnserved where the API server doesn't know the kind.
func (c *cluster) resource(ctx context.Context, kind schema.GroupKind, version string) (schema.GroupVersionResource, bool, error) {
	mapping, err := c.mapping(kind, version)
	if meta.IsNoMatchError(err) {
		return schema.GroupVersionResource{}, false, fmt.Errorf("%s: %w", kind, errUnserved)
	}
	if err != nil {
		return schema.GroupVersionResource{}, false, c.failed(ctx, "discover "+kind.String(), err)
	}
	return mapping.Resource, mapping.Scope.Name() == meta.RESTScopeNameNamespace, nil
}

// mapping asks the mapper, once for each kind between two looks at what there is:
// until then it says the same.
func (c *cluster) mapping(kind schema.GroupKind, version string) (*meta.RESTMapping, error) {
	key := served{kind, version}
	c.mu.Lock()
	known, ok := c.served[key]
	asked := c.discovered
	c.mu.Unlock()
	if ok {
		return known, nil
	}
	mapping, err := c.mapper.RESTMapping(kind, version)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && c.discovered.Equal(asked) {
		c.served[key] = mapping
	}
	return mapping, err
}

// rediscover forgets which kinds the API server knows, unless they were asked
// for since a time.
func (c *cluster) rediscover(since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.discovered.After(since) {
		c.discovered = time.Now()
		clear(c.served)
		c.mapper.Reset()
	}
}

// get fetches one object in the version that Git declares; nil if there is
// none, or if the API server does not know its kind, asked at since or later.
func (c *cluster) get(ctx context.Context, o events.Object, since time.Time) (*unstructured.Unstructured, error) {
	kind := schema.GroupKind{Group: o.Group, Kind: o.Kind}
	resource, _, err := c.resource(ctx, kind, o.Version)
	if errors.Is(err, errUnserved) { // perhaps it has come since we asked
		c.rediscover(since)
		resource, _, err = c.resource(ctx, kind, o.Version)
	}
	if errors.Is(err, errUnserved) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	live, err := c.bodies.Resource(resource).Namespace(o.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.failed(ctx, "get "+o.String(), err)
	}
	return live, nil
}

// readyTimeout bounds the question whether the API server is there.
const readyTimeout = 10 * time.Second

// failed classifies an error of the API server. Unless it answered that it won't,
// it may be out, which stops the audit of every application: it is asked whether
// it is there. If so, one application is alone with what it can't read.
func (c *cluster) failed(ctx context.Context, operation string, err error) error {
	err = fmt.Errorf("%s: %w", operation, err)
	if errors.Is(err, context.Canceled) {
		return err
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		if code >= 400 && code < 500 && code != http.StatusTooManyRequests && code != http.StatusRequestTimeout {
			return err
		}
	}
	if c.ready(ctx) {
		return err
	}
	return fault.Outage("the API server of cluster "+c.name, err)
}

// ready asks the API server whether it is; that it may not be asked counts as
// yes.
func (c *cluster) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err := c.kinds.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	return err == nil || apierrors.IsForbidden(err) || apierrors.IsNotFound(err)
}
