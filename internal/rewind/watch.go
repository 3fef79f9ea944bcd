// SPDX-License-Identifier: Apache-2.0

package rewind

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/watch"
)

// ErrRewound says that the API server's history went back: the cluster was
// restored from a backup.
var ErrRewound = errors.New("the cluster's resourceVersion went back")

// Watch opens a watch, and makes sure that the API server has come as far as
// known, a resourceVersion that it has shown before. Its error wraps ErrRewound
// where it has not. Newest returns its present resourceVersion, by a read that
// no cache answers from its past, see [OnlyVersion].
func Watch(ctx context.Context, known string, open func(context.Context) (watch.Interface, error), newest func(context.Context) (string, error)) (watch.Interface, error) {
	changes, err := open(ctx)
	if err != nil || known == "" {
		return changes, err
	}
	// After the watch: one that an API server answers which ends now ends too.
	now, err := newest(ctx)
	if err == nil && Older(now, known) {
		err = ErrRewound
	}
	if err != nil {
		changes.Stop()
		return nil, err
	}
	return changes, nil
}

// OnlyVersion are the options of a list that is asked for its version.
func OnlyVersion() metav1.ListOptions { return metav1.ListOptions{Limit: 1} }

// Older says whether resourceVersion a is before b. Versions of one resource
// are ordered numbers (KEP-5504); where they aren't, nothing is older.
func Older(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}

// Later is the later one of two resourceVersions, either of which may be empty.
func Later(a, b string) string {
	if a == "" || Older(a, b) {
		return b
	}
	return a
}

// Outdated says that a whole list at a version shows an object with an older
// resourceVersion than was known of it, of a time that the list covers.
func Outdated(uid, version, knownUID, known, list string) bool {
	return uid == knownUID && Older(version, known) && !Older(list, known)
}
