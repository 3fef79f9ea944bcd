// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/rewind"
)

// timing is how long one watch is asked to last, and how long it may go over
// that without a word before it is taken for dead: a half-open connection says
// nothing.
type timing struct{ watch, silence time.Duration }

var defaultTiming = timing{watch: 8 * time.Minute, silence: time.Minute}

const (
	pageSize   = 500
	minBackoff = 250 * time.Millisecond
	maxBackoff = 30 * time.Second
	// maxDenied is the longest wait before asking again for what was denied;
	// in the first minute it is soonDenied: a kind that is new is granted a
	// moment later.
	maxDenied  = 10 * time.Minute
	soonDenied = 4 * time.Second
)

// deniedLimit is the longest wait for what has been denied for so long.
func deniedLimit(denied time.Duration) time.Duration {
	if denied < time.Minute {
		return soonDenied
	}
	return maxDenied
}

// Reading is how far a reader has come.
type Reading int32

const (
	Starting Reading = iota
	Listed           // what there is, is known; a watch tells what changes
	Denied           // the identity may not read it
	Unserved         // the API server doesn't know the kind
)

// scope is what one reader reads: a kind, everywhere or in one namespace.
type scope struct {
	kind      schema.GroupKind
	version   string
	namespace string // empty: everywhere
	// all reads objects without our label too, for applications that are
	// never written to.
	all bool
	// heads lists metadata alone: the bodies could not be compared.
	heads bool
}

func (s scope) selector() string {
	if s.all {
		return ""
	}
	return manifest.LabelApplication
}

func (s scope) holds(group, kind, namespace string) bool {
	return s.kind.Group == group && s.kind.Kind == kind && (s.namespace == "" || s.namespace == namespace)
}

// sink takes what a reader reads. Its methods are called from the reader's
// goroutine alone.
type sink interface {
	// page takes one page of a list; it returns when the page is compared.
	page(ctx context.Context, s scope, objects []unstructured.Unstructured)
	// complete takes the keys of a whole list.
	complete(s scope, seen map[string]bool)
	// event takes one event of a watch.
	event(s scope, kind watch.EventType, o metav1.Object)
	// state takes a change of the reader's state.
	state(s scope, is Reading)
}

// reader keeps up with one scope for as long as its context lasts: list all,
// bodies included, then watch metadata from there. When the watch has lost its
// place, or the API server was away, it lists again.
type reader struct {
	scope
	cluster *cluster
	sink    sink
	every   time.Duration // between two full comparisons
	timing  timing
	log     *slog.Logger
	reading atomic.Int32
	failing atomic.Bool // the API server does not answer
}

func (r *reader) is() Reading { return Reading(r.reading.Load()) }

func (r *reader) set(is Reading) {
	if Reading(r.reading.Swap(int32(is))) != is {
		r.sink.state(r.scope, is)
	}
}

// run returns when ctx ends. Errors of the API server are waited out: what is
// known stays known.
func (r *reader) run(ctx context.Context) {
	backoff := minBackoff
	var denied time.Time // since when it is
	for ctx.Err() == nil {
		started := time.Now()
		err := r.listAndWatch(ctx)
		limit := maxBackoff
		if !apierrors.IsForbidden(err) {
			denied = time.Time{}
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errUnserved), apierrors.IsNotFound(err):
			r.cluster.rediscover(time.Now())
			r.set(Unserved)
		case apierrors.IsForbidden(err):
			r.set(Denied)
			if denied.IsZero() {
				denied = started
			}
			limit = deniedLimit(time.Since(denied))
		case err == nil, apierrors.IsResourceExpired(err), apierrors.IsGone(err), errors.Is(err, rewind.ErrRewound):
			r.log.Debug("reading anew", "kind", r.kind, "cause", err)
		default:
			r.failing.Store(true)
			r.log.Warn("can't read; what is known stays", "kind", r.kind, "namespace", r.namespace, "error", err)
		}
		if time.Since(started) > limit {
			backoff = minBackoff
		}
		if !sleep(ctx, jitter(backoff)) {
			return
		}
		backoff = min(2*backoff, limit)
	}
}

func (r *reader) listAndWatch(ctx context.Context) error {
	resource, namespaced, err := r.cluster.resource(ctx, r.kind, r.version)
	if err != nil {
		return err
	}
	if !namespaced && r.namespace != "" {
		return fmt.Errorf("%s is not namespaced: %w", r.kind, errUnserved)
	}
	version, err := r.list(ctx, resource)
	if err != nil {
		return err
	}
	r.failing.Store(false)
	r.set(Listed)
	again := time.Now().Add(jitter(r.every))
	for time.Now().Before(again) && ctx.Err() == nil {
		if version, err = r.watch(ctx, resource, version, time.Until(again)); err != nil {
			return err
		}
	}
	return nil
}

// list hands over everything there is, in pages, and returns the resource
// version from which a watch goes on.
func (r *reader) list(ctx context.Context, resource schema.GroupVersionResource) (string, error) {
	seen := map[string]bool{}
	options := metav1.ListOptions{LabelSelector: r.selector(), Limit: pageSize}
	for {
		page, version, err := r.listPage(ctx, resource, options)
		if err != nil {
			return "", fmt.Errorf("list %s: %w", r.kind, err)
		}
		for i := range page.Items {
			o := &page.Items[i]
			seen[objectKey(r.kind.Group, r.kind.Kind, o.GetNamespace(), o.GetName())] = true
		}
		r.sink.page(ctx, r.scope, page.Items)
		if options.Continue = page.GetContinue(); options.Continue == "" {
			r.sink.complete(r.scope, seen)
			return version, nil
		}
	}
}

func (r *reader) listPage(ctx context.Context, resource schema.GroupVersionResource, options metav1.ListOptions) (*unstructured.UnstructuredList, string, error) {
	if !r.heads {
		page, err := r.cluster.bodies.Resource(resource).Namespace(r.namespace).List(ctx, options)
		if err != nil {
			return nil, "", err
		}
		return page, page.GetResourceVersion(), nil
	}
	heads, err := r.cluster.heads.Resource(resource).Namespace(r.namespace).List(ctx, options)
	if err != nil {
		return nil, "", err
	}
	page := &unstructured.UnstructuredList{}
	page.SetContinue(heads.Continue)
	for i := range heads.Items {
		var u unstructured.Unstructured
		u.SetName(heads.Items[i].Name)
		u.SetNamespace(heads.Items[i].Namespace)
		u.SetUID(heads.Items[i].UID)
		u.SetResourceVersion(heads.Items[i].ResourceVersion)
		u.SetGeneration(heads.Items[i].Generation)
		u.SetLabels(heads.Items[i].Labels)
		u.SetAnnotations(heads.Items[i].Annotations)
		u.SetManagedFields(heads.Items[i].ManagedFields)
		u.SetDeletionTimestamp(heads.Items[i].DeletionTimestamp)
		page.Items = append(page.Items, u)
	}
	return page, heads.ResourceVersion, nil
}

// watch hands over what changes until the watch ends, and returns the resource
// version at which to go on. A nil error means that going on there loses
// nothing. Its error wraps rewind.ErrRewound where there is nothing to go on
// from: the API server hasn't come as far.
func (r *reader) watch(ctx context.Context, resource schema.GroupVersionResource, version string, atMost time.Duration) (string, error) {
	timeout := min(jitter(r.timing.watch), atMost)
	seconds := max(1, int64(timeout/time.Second))
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+r.timing.silence)
	defer cancel()
	heads := r.cluster.heads.Resource(resource).Namespace(r.namespace)
	w, err := rewind.Watch(ctx, version, func(ctx context.Context) (watch.Interface, error) {
		return heads.Watch(ctx, metav1.ListOptions{
			LabelSelector: r.selector(), ResourceVersion: version, AllowWatchBookmarks: true, TimeoutSeconds: &seconds,
		})
	}, func(ctx context.Context) (string, error) {
		options := rewind.OnlyVersion()
		options.LabelSelector = r.selector()
		list, err := heads.List(ctx, options)
		if err != nil {
			return "", err
		}
		return list.ResourceVersion, nil
	})
	if err != nil {
		return "", fmt.Errorf("watch %s: %w", r.kind, err)
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return version, nil
		case e, open := <-w.ResultChan():
			if !open {
				return version, nil
			}
			if e.Type == watch.Error {
				return "", fmt.Errorf("watch %s: %w", r.kind, apierrors.FromObject(e.Object))
			}
			o, ok := e.Object.(metav1.Object)
			if !ok {
				return "", fmt.Errorf("watch %s: unexpected %T", r.kind, e.Object)
			}
			if older(o.GetResourceVersion(), version) {
				return "", fmt.Errorf("watch %s: %w", r.kind, rewind.ErrRewound)
			}
			version = o.GetResourceVersion()
			if e.Type != watch.Bookmark {
				r.sink.event(r.scope, e.Type, o)
			}
		}
	}
}

func jitter(d time.Duration) time.Duration {
	return d*9/10 + rand.N(max(d/5, 1))
}

// sleep waits, and reports whether ctx has let it.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
