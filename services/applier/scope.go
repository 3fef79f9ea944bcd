// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"

	"github.com/plumbline-dev/plumbline/events"
)

// resource is where the API serves a kind.
type resource struct {
	schema.GroupVersionResource
	Namespaced bool
}

// errUnknownKind says that the cluster doesn't serve a kind.
var errUnknownKind = errors.New("the cluster doesn't serve this kind")

// errNotKept says that the cluster serves a kind and keeps no object of it: a
// question, as a TokenReview, can be created alone, and is gone when it is
// answered.
var errNotKept = errors.New("the cluster keeps no objects of this kind")

// resetEvery is how often at most discovery is read again because a kind is
// missing.
const resetEvery = time.Second

// scopes knows which kinds the cluster serves, and whether they are
// namespaced. Discovery is read once, and again when a kind is missing. It may
// be used from several goroutines.
type scopes struct {
	cached discovery.CachedDiscoveryInterface
	mapper *restmapper.DeferredDiscoveryRESTMapper
	meter  *meter

	mu    sync.Mutex
	reset time.Time
	found map[kindVersion]resource // since discovery was read anew
}

// kindVersion is a kind and the version that is asked for; empty: any.
type kindVersion struct {
	schema.GroupKind
	version string
}

func newScopes(client discovery.DiscoveryInterface, m *meter) *scopes {
	cached := memory.NewMemCacheClient(client)
	return &scopes{cached: cached, mapper: restmapper.NewDeferredDiscoveryRESTMapper(cached), meter: m, found: map[kindVersion]resource{}}
}

// resource returns where the version of o is served. Its error is
// errUnknownKind, or that of reading discovery.
func (s *scopes) resource(ctx context.Context, o events.Object) (resource, error) {
	return s.known(ctx, o, o.Version)
}

// anyVersion returns where the kind of o is served in whatever version: that
// in which an object was applied once may be served no more.
func (s *scopes) anyVersion(ctx context.Context, o events.Object) (resource, error) {
	return s.known(ctx, o)
}

// known is find for what was found before.
func (s *scopes) known(ctx context.Context, o events.Object, versions ...string) (resource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := kindVersion{GroupKind: schema.GroupKind{Group: o.Group, Kind: o.Kind}, version: strings.Join(versions, "")}
	if r, ok := s.found[at]; ok {
		return r, nil
	}
	r, err := s.find(ctx, o, versions...)
	if err == nil {
		s.found[at] = r
	}
	return r, err
}

// find asks discovery; s.mu is held.
func (s *scopes) find(ctx context.Context, o events.Object, versions ...string) (resource, error) {
	defer s.meter.charge(ctx)()
	kind := schema.GroupKind{Group: o.Group, Kind: o.Kind}
	mapping, err := s.mapper.RESTMapping(kind, versions...)
	if meta.IsNoMatchError(err) && time.Since(s.reset) > resetEvery {
		s.readAnew()
		s.reset = time.Now()
		mapping, err = s.mapper.RESTMapping(kind, versions...)
	}
	served := metav1.APIResource{Kind: o.Kind}
	if err == nil {
		served = s.served(mapping.Resource, served)
	}
	// The mapper knows kinds in small letters, too; the API server doesn't.
	if meta.IsNoMatchError(err) || served.Kind != o.Kind {
		if err := s.silent(o); err != nil {
			return resource{}, err
		}
		return resource{}, fmt.Errorf("%s %s: %w", o.Kind, apiVersion(o), errUnknownKind)
	}
	if err != nil {
		return resource{}, fmt.Errorf("read which kinds the cluster serves: %w", err)
	}
	if len(served.Verbs) > 0 && !keeps(served.Verbs) {
		return resource{}, fmt.Errorf("%s %s: %w", o.Kind, apiVersion(o), errNotKept)
	}
	return resource{mapping.Resource, mapping.Scope.Name() == meta.RESTScopeNameNamespace}, nil
}

// keeps says whether objects of a kind with these verbs are kept. While a CRD is
// being deleted nothing of its kind can be written any more, but what there is
// can be seen and removed.
func keeps(verbs metav1.Verbs) bool {
	return slices.Contains(verbs, "list") && (slices.Contains(verbs, "patch") || slices.Contains(verbs, "delete"))
}

// served is what the API server says of a resource, or otherwise, where it
// says nothing.
func (s *scopes) served(r schema.GroupVersionResource, otherwise metav1.APIResource) metav1.APIResource {
	list, err := s.cached.ServerResourcesForGroupVersion(r.GroupVersion().String())
	if err != nil {
		return otherwise
	}
	for _, known := range list.APIResources {
		if known.Name == r.Resource {
			return known
		}
	}
	return otherwise
}

// silent returns an error where the kind of o is missing only because the
// aggregated API that serves its group doesn't answer: that is no proof that
// its objects are gone.
func (s *scopes) silent(o events.Object) error {
	_, err := s.cached.ServerResourcesForGroupVersion(apiVersion(o))
	if err == nil || apierrors.IsNotFound(err) || errors.Is(err, memory.ErrCacheNotFound) {
		return nil
	}
	return &trouble{
		Reason: events.ReasonRefused, Again: true, Err: err,
		Message: fmt.Sprintf("the API that serves %s doesn't answer: see its APIService", apiVersion(o)),
	}
}

// forget makes the next look at discovery a fresh one: a CRD was applied.
func (s *scopes) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readAnew()
	s.reset = time.Time{}
}

// readAnew has discovery read again; s.mu is held.
func (s *scopes) readAnew() {
	s.mapper.Reset()
	clear(s.found)
}

// place fills in where o goes: the default namespace for a namespaced object
// that names none. Its error is for people.
func place(o events.Object, namespaced bool, defaultNamespace string) (events.Object, error) {
	switch {
	case !namespaced && o.Namespace != "":
		return o, fmt.Errorf("%s is not namespaced, and names the namespace %s: remove metadata.namespace", o.Kind, o.Namespace)
	case namespaced && o.Namespace == "" && defaultNamespace == "":
		return o, fmt.Errorf("%s names no namespace, and its application declares none: set metadata.namespace, or spec.namespace of the application", o)
	case namespaced && o.Namespace == "":
		o.Namespace = defaultNamespace
	}
	return o, nil
}
