// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/plumbline-dev/plumbline/events"
)

// A cluster that is restored from a backup has the past of then. Its
// resourceVersions may come back too, and then nothing shows that by itself: a
// watch goes on at a version that lies in the future and tells nothing, and
// what is remembered looks newer than what is read. So it is looked for:
//
//   - a watch that is opened asks how far the API server has come, see watchFrom
//   - a list is compared with what was known up to its version
//   - an inventory that is read is compared with what was known before it was asked for
//
// Each of these proves it. What is remembered of the whole cluster counts no
// longer then, see applier.rewound.

// errRewound says that the API server's history went back: the cluster was
// restored from a backup.
var errRewound = errors.New("the cluster's resourceVersion went back")

// watchFrom opens a watch, and makes sure that the API server has come as far
// as known, a resourceVersion that it has shown before. Its error wraps
// errRewound where it has not. Newest returns its present resourceVersion, by a
// read that no cache answers from its past.
func watchFrom(ctx context.Context, known string, open func(context.Context) (watch.Interface, error), newest func(context.Context) (string, error)) (watch.Interface, error) {
	changes, err := open(ctx)
	if err != nil || known == "" {
		return changes, err
	}
	// After the watch: one that an API server answers which ends now ends too.
	now, err := newest(ctx)
	if err == nil && older(now, known) {
		err = errRewound
	}
	if err != nil {
		changes.Stop()
		return nil, err
	}
	return changes, nil
}

// onlyVersion changes a list to one that is asked for its version.
func onlyVersion() metav1.ListOptions { return metav1.ListOptions{Limit: 1} }

// outdated says that a whole list at a version shows an object with an older
// resourceVersion than was known of it, of a time that the list covers.
func outdated(uid, version, knownUID, known, list string) bool {
	return uid == knownUID && older(version, known) && !older(list, known)
}

// later is the later one of two resourceVersions, either of which may be empty.
func later(a, b string) string {
	if a == "" || older(a, b) {
		return b
	}
	return a
}

// rewound is called when it is proven that the cluster was restored from a
// backup. What is remembered of it may be of a future that never was: all of
// it is listed anew, and then everything is compared with Git, before which
// nothing is pruned. The inventories are as old as the rest; the log shows
// which revision an application was at, see Fence.Admit.
func (a *applier) rewound() {
	a.log.Warn("the cluster's resourceVersion went back: it was restored from a backup. Everything is compared anew")
	a.doubtAll()
	a.observer.rewind()
	a.inventories.rewind()
}

// relisted is called when the inventories of a cluster that was restored are
// known.
func (a *applier) relisted() {
	a.doubtAll()
	a.resync(events.Event{})
}

func (a *applier) doubtAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, app := range a.applications {
		app.doubt.Store(true)
	}
}
