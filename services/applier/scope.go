// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
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

// resetEvery is how often at most discovery is read again because a kind is
// missing.
const resetEvery = time.Second

// scopes knows which kinds the cluster serves, and whether they are
// namespaced. Discovery is read once, and again when a kind is missing. It may
// be used from several goroutines.
type scopes struct {
	mapper *restmapper.DeferredDiscoveryRESTMapper
	meter  *meter

	mu    sync.Mutex
	reset time.Time
}

func newScopes(client discovery.DiscoveryInterface, m *meter) *scopes {
	return &scopes{mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client)), meter: m}
}

// resource returns where o is served. Its error is errUnknownKind, or that of
// reading discovery.
func (s *scopes) resource(ctx context.Context, o events.Object) (resource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.meter.charge(ctx)()
	kind := schema.GroupKind{Group: o.Group, Kind: o.Kind}
	mapping, err := s.mapper.RESTMapping(kind, o.Version)
	if meta.IsNoMatchError(err) && time.Since(s.reset) > resetEvery {
		s.mapper.Reset()
		s.reset = time.Now()
		mapping, err = s.mapper.RESTMapping(kind, o.Version)
	}
	if meta.IsNoMatchError(err) {
		return resource{}, fmt.Errorf("%s %s/%s: %w", o.Kind, o.Group, o.Version, errUnknownKind)
	}
	if err != nil {
		return resource{}, fmt.Errorf("read which kinds the cluster serves: %w", err)
	}
	return resource{mapping.Resource, mapping.Scope.Name() == meta.RESTScopeNameNamespace}, nil
}

// forget makes the next look at discovery a fresh one: a CRD was applied.
func (s *scopes) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mapper.Reset()
	s.reset = time.Time{}
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
