// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// handle takes one event. An event of an application is worked on in the
// application's queue, as everything is that concerns it.
func (a *Auditor) handle(ctx context.Context, in events.Event) ([]events.Draft, error) {
	switch in.Type.Name() {
	case "fleet.observed":
		return nil, a.fleetChanged(ctx, in)
	case "sync.requested", "application.withdrawn":
		if in.Application == "" {
			a.level("sync/"+in.ID, nil)
			return nil, nil
		}
		return a.handleFor(ctx, in, work{load: true})
	}
	return a.handleFor(ctx, in, work{all: true})
}

func (a *Auditor) handleFor(ctx context.Context, in events.Event, w work) ([]events.Draft, error) {
	if in.Cluster != a.cfg.Cluster && in.Type.Name() != "sync.requested" {
		return nil, nil
	}
	app := a.application(in.Application)
	tenure, known := bus.TenureOf(ctx)
	if !known || tenure != app.tenure {
		// Another auditor may have been given what came before, and the
		// fleet's list too: what was read then says nothing now.
		if err := a.fleet.load(ctx, a.conn); err != nil {
			return nil, err
		}
		w.load = true
	}
	if !w.load && slices.Contains(viewed, in.Type.Name()) && !app.view.take(in) {
		w.load = true
	}
	drafts, err := a.pass(ctx, app, w, bus.Now(ctx))
	if err == nil && w.load && known {
		app.tenure = tenure
	}
	return drafts, err
}

// fleetChanged looks again at every application that came, changed or went.
func (a *Auditor) fleetChanged(ctx context.Context, in events.Event) error {
	if err := a.fleet.load(ctx, a.conn); err != nil {
		return err
	}
	applications, err := a.known(ctx)
	if err != nil {
		return err
	}
	for _, application := range applications {
		a.backlog.queue(application, events.Cause{ID: in.ID + "/" + application}, work{load: true})
	}
	return nil
}

// known are the applications that the fleet lists, that are being audited, or
// that the log tells of an open or past divergence of.
func (a *Auditor) known(ctx context.Context) ([]string, error) {
	names := map[string]bool{}
	for _, application := range a.fleet.applications() {
		names[application] = true
	}
	subjects, err := a.conn.Subjects(ctx, events.Root+".divergence.*."+events.EncodeToken(a.cfg.Cluster)+".*.*")
	if err != nil {
		return nil, fmt.Errorf("list the divergences of cluster %s: %w", a.cfg.Cluster, err)
	}
	for _, subject := range subjects {
		if _, at, err := events.ParseSubject(subject); err == nil {
			names[at.Application] = true
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for name := range a.apps {
		names[name] = true
	}
	return slices.Sorted(maps.Keys(names)), nil
}

func (a *Auditor) application(name string) *application {
	a.mu.Lock()
	defer a.mu.Unlock()
	app := a.apps[name]
	if app == nil {
		app = newApplication(a.cfg.Cluster, name)
		a.apps[name] = app
	}
	return app
}

// wakeAt sets the application's timer.
func (a *Auditor) wakeAt(app *application) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if timer := a.timers[app.name]; timer != nil {
		timer.Stop()
		delete(a.timers, app.name)
	}
	if app.wake.IsZero() || a.stopped {
		return
	}
	name, at := app.name, app.wake
	a.timers[name] = time.AfterFunc(max(0, time.Until(at)), func() {
		a.backlog.queue(name, events.Cause{ID: fmt.Sprintf("timer/%s/%s/%d", a.cfg.Cluster, name, at.UnixNano())}, work{all: true})
	})
}

// retryAfter is how long objects wait that could not be examined while others
// of their application were.
const retryAfter = time.Second

// again looks later at what could not be examined.
func (a *Auditor) again(ctx context.Context, application string, keys map[string]bool, why error) {
	a.log.WarnContext(ctx, "some objects could not be compared; they are tried again", "application", application, "objects", len(keys), "error", why)
	time.AfterFunc(retryAfter, func() {
		a.backlog.queue(application, events.Cause{ID: fmt.Sprintf("again/%s/%s/%d", a.cfg.Cluster, application, time.Now().UnixNano())}, work{keys: keys})
	})
}

// page takes one page of a list. What it holds is compared before the next one
// is asked for, so that no more than a page of bodies is held.
func (a *Auditor) page(ctx context.Context, s scope, objects []unstructured.Unstructured) {
	groups := map[string]*work{}
	for i := range objects {
		o := &objects[i]
		key := objectKey(s.kind.Group, s.kind.Kind, o.GetNamespace(), o.GetName())
		owner := a.cache.claimedBy(key)
		if owner == "" && o.GetLabels()[manifest.LabelApplication] == "" {
			continue
		}
		if owner == "" {
			a.cache.listed(key, metaOf(o))
			continue
		}
		if groups[owner] == nil {
			groups[owner] = &work{keys: map[string]bool{}, listed: map[string]listed{}}
		}
		// It is taken note of where it is compared: who came in between would
		// have to fetch it again.
		l := listed{meta: metaOf(o)}
		if !s.heads {
			l.body = o
		}
		groups[owner].keys[key], groups[owner].listed[key] = true, l
	}
	var all sync.WaitGroup
	for application, w := range groups {
		all.Add(1)
		var once sync.Once
		w.done = func() { once.Do(all.Done) }
		a.backlog.queue(application, events.Cause{ID: fmt.Sprintf("list/%s/%s/%d", s.kind, application, time.Now().UnixNano())}, *w)
	}
	compared := make(chan struct{})
	go func() { all.Wait(); close(compared) }()
	select {
	case <-compared:
	case <-ctx.Done():
	}
}

// complete takes the keys of a whole list: what it lacks has gone, or has left
// what the list selects.
func (a *Auditor) complete(s scope, seen map[string]bool) {
	for _, key := range a.cache.absentees(s.has, seen) {
		a.cache.left(key, "", "", s.all)
		a.touch(key, fmt.Sprintf("list/%s/%d", key, time.Now().UnixNano()))
	}
}

// has reports whether an object's key is in the scope.
func (s scope) has(key string) bool {
	parts := strings.SplitN(key, "/", 4)
	return len(parts) == 4 && s.holds(parts[0], parts[1], parts[2])
}

// event takes one event of a watch.
func (a *Auditor) event(s scope, kind watch.EventType, o metav1.Object) {
	key := objectKey(s.kind.Group, s.kind.Kind, o.GetNamespace(), o.GetName())
	cause := fmt.Sprintf("%s@%s", o.GetUID(), o.GetResourceVersion())
	if kind == watch.Deleted {
		if a.cache.left(key, string(o.GetUID()), o.GetResourceVersion(), s.all) {
			a.touch(key, cause+"/deleted")
		}
		return
	}
	if o.GetLabels()[manifest.LabelApplication] == "" && a.cache.claimedBy(key) == "" {
		return
	}
	if a.cache.saw(key, metaOf(o)) {
		a.touch(key, cause)
	}
}

// touch has the application look that declares an object.
func (a *Auditor) touch(key, cause string) {
	if application := a.cache.claimedBy(key); application != "" {
		a.backlog.queue(application, events.Cause{ID: cause}, work{keys: map[string]bool{key: true}})
	}
}

// state takes that a reader has come to know, or to know that it can't.
func (a *Auditor) state(s scope, is Reading) {
	if is == Unserved {
		for _, key := range a.cache.absentees(s.has, nil) {
			a.cache.left(key, "", "", true)
		}
	}
	for _, application := range a.readers.state(s) {
		a.backlog.queue(application, events.Cause{ID: fmt.Sprintf("read/%s/%s/%d/%d", s.kind, application, is, time.Now().UnixNano())}, work{all: true})
	}
}
