// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/rewind"
)

// watchAgain is how long after its end a watch is started again.
const watchAgain = 500 * time.Millisecond

// watchScope is what one watch sees: a kind, everywhere or in one namespace.
type watchScope struct {
	schema.GroupKind
	namespace string // empty: everywhere
}

func (s watchScope) String() string {
	if s.namespace == "" {
		return s.GroupKind.String()
	}
	return s.GroupKind.String() + " in the namespace " + s.namespace
}

// kindWatch is the watch of one kind, label-filtered for what Plumbline owns:
// metadata alone, or whole objects where health needs status, of which only
// the health is kept. It is a cache.ReflectorStore.
type kindWatch struct {
	past
	kind watchScope
	told func(application, key string)

	// past.mu guards the rest.
	seen   map[string]sighting
	listed string        // resourceVersion of the last list
	synced chan struct{} // closed after the first list, and after the first one since a rewind
	err    error         // of the last attempt to list
}

// syncTimeout is how long work waits for the first list of a kind.
const syncTimeout = 20 * time.Second

// await waits for the first list. It ends sooner where the cluster denies it,
// and with errUnknownKind where the kind is not served after all.
func (w *kindWatch) await(ctx context.Context) error {
	deadline := time.Now().Add(syncTimeout)
	for {
		w.mu.RLock()
		synced, err := w.synced, w.err
		w.mu.RUnlock()
		select {
		case <-synced:
			return nil
		default:
		}
		if apierrors.IsForbidden(err) {
			return &trouble{
				Reason: events.ReasonForbidden, APIReason: string(metav1.StatusReasonForbidden), Err: err,
				Message: w.denied(),
			}
		}
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("watch %s: %w", w.kind, errUnknownKind)
		}
		if err != nil && time.Now().After(deadline) {
			return fmt.Errorf("watch %s: %w", w.kind, w.unlisted(err))
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("watch %s: %w", w.kind, err)
		}
	}
}

// unlisted explains an API server that answers, and can't list the kind. Another
// error is returned as it is.
func (w *kindWatch) unlisted(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err
	}
	reason := string(status.Status().Reason)
	return &trouble{
		Reason: events.ReasonRefused, APIReason: reason, Again: true, Passing: true, Err: err,
		Message: fmt.Sprintf("the API server can't list %s (%s): see whether what converts or serves it is up. It is tried again", w.kind, reason),
	}
}

// denied says, for people, what to grant.
func (w *kindWatch) denied() string {
	grant := "a ClusterRole"
	if w.kind.namespace != "" {
		grant = "a Role there"
	}
	return fmt.Sprintf("the applier may not list and watch %s: grant it get, list, watch, create, patch and delete of it in %s", w.kind, grant)
}

func newKindWatch(kind watchScope, told func(application, key string), rewound func()) *kindWatch {
	return &kindWatch{past: past{rewound: rewound}, kind: kind, told: told, seen: map[string]sighting{}, synced: make(chan struct{})}
}

func (w *kindWatch) sight(obj any) (sighting, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return sighting{}, fmt.Errorf("watch %s: %w", w.kind, err)
	}
	o := events.Object{Group: w.kind.Group, Kind: w.kind.Kind, Namespace: m.GetNamespace(), Name: m.GetName()}
	s := sight(o, m)
	if u, ok := obj.(*unstructured.Unstructured); ok {
		s.Health = healthOf(u)
	}
	return s, nil
}

// Add is called by the reflector for an object that appears.
func (w *kindWatch) Add(obj any) error { return w.Update(obj) }

// Update is called by the reflector for an object that changes.
func (w *kindWatch) Update(obj any) error {
	s, err := w.sight(obj)
	if err != nil {
		return err
	}
	w.keep(s)
	return nil
}

// keep remembers s unless something newer of the same object is known: the
// answer to a write may come before the watch tells of an older state.
func (w *kindWatch) keep(s sighting) {
	w.mu.Lock()
	was, ok := w.seen[s.Key()]
	if ok && !w.back && rewind.Older(s.ResourceVersion, was.ResourceVersion) {
		w.mu.Unlock()
		return
	}
	w.seen[s.Key()] = s
	w.high = rewind.Later(w.high, s.ResourceVersion)
	w.mu.Unlock()
	w.told(s.Application, s.Key())
	if ok && was.Application != s.Application {
		w.told(was.Application, s.Key())
	}
}

// Delete is called by the reflector for an object that is gone, or no longer
// carries the label.
func (w *kindWatch) Delete(obj any) error {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	s, err := w.sight(obj)
	if err != nil {
		return err
	}
	w.mu.Lock()
	if was, ok := w.seen[s.Key()]; ok && was.UID == s.UID && !rewind.Older(s.ResourceVersion, was.ResourceVersion) {
		delete(w.seen, s.Key())
	}
	w.mu.Unlock()
	w.told(s.Application, s.Key())
	return nil
}

// drop forgets an object that a request has shown to be gone.
func (w *kindWatch) drop(key string) {
	w.mu.Lock()
	delete(w.seen, key)
	w.mu.Unlock()
}

// Replace is called by the reflector with a whole list. What was written since
// stays; a list that shows that the cluster was restored from a backup alone
// counts.
func (w *kindWatch) Replace(list []any, resourceVersion string) error {
	sightings := make([]sighting, 0, len(list))
	for _, obj := range list {
		s, err := w.sight(obj)
		if err != nil {
			return err
		}
		sightings = append(sightings, s)
	}
	w.mu.Lock()
	found := w.contradicts(sightings, resourceVersion)
	changed := w.replace(sightings, resourceVersion, found || w.back)
	w.back = false
	w.mu.Unlock()
	if found {
		w.rewound()
	}
	for key, application := range changed {
		w.told(application, key)
	}
	return nil
}

// contradicts says that a whole list can't follow what was seen before. w.mu is
// held.
func (w *kindWatch) contradicts(list []sighting, resourceVersion string) bool {
	if w.back {
		return false // nothing that was seen counts
	}
	return rewind.Older(resourceVersion, w.listed) || slices.ContainsFunc(list, func(s sighting) bool {
		was, ok := w.seen[s.Key()]
		return ok && rewind.Outdated(s.UID, s.ResourceVersion, was.UID, was.ResourceVersion, resourceVersion)
	})
}

// replace takes a whole list, and what was written since unless the list is to
// stand alone. It returns the application of each object that may have changed,
// by key. w.mu is held.
func (w *kindWatch) replace(list []sighting, resourceVersion string, alone bool) map[string]string {
	before := w.seen
	if alone {
		w.high = ""
	}
	w.listed, w.high = resourceVersion, rewind.Later(w.high, resourceVersion)
	w.seen = make(map[string]sighting, len(list))
	changed := map[string]string{}
	for _, s := range list {
		if was, ok := before[s.Key()]; ok && !alone && rewind.Older(s.ResourceVersion, was.ResourceVersion) {
			s = was
		}
		w.seen[s.Key()] = s
		changed[s.Key()] = s.Application
	}
	for key, was := range before {
		if _, ok := w.seen[key]; ok {
			continue
		}
		if !alone && rewind.Older(resourceVersion, was.ResourceVersion) {
			w.seen[key] = was
			continue
		}
		changed[key] = was.Application
	}
	select {
	case <-w.synced:
	default:
		close(w.synced)
	}
	return changed
}

// rewindAll has the kind listed anew, and forgets what was seen when it is.
func (w *kindWatch) rewindAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listed, w.synced = "", make(chan struct{})
	w.rewind()
}

// Resync is called by the reflector on a timer that we don't set.
func (w *kindWatch) Resync() error { return nil }

func (w *kindWatch) get(key string) (sighting, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	s, ok := w.seen[key]
	return s, ok
}
