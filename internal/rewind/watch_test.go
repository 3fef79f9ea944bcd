// SPDX-License-Identifier: Apache-2.0

package rewind

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/watch"
)

// A watch that would go on in the future is not opened.
func TestAWatchIsOpenedWhereTheAPIServerHasCome(t *testing.T) {
	for name, c := range map[string]struct {
		known, now string
		asked      bool
		want       error
	}{
		"as far":           {"100", "100", true, nil},
		"further":          {"100", "120", true, nil},
		"not so far":       {"100", "99", true, ErrRewound},
		"by digits":        {"1000", "999", true, ErrRewound},
		"nothing is known": {"", "50", false, nil},
	} {
		opened, asked := watch.NewFake(), false
		changes, err := Watch(t.Context(), c.known, func(context.Context) (watch.Interface, error) { return opened, nil },
			func(context.Context) (string, error) { asked = true; return c.now, nil })
		if !errors.Is(err, c.want) || (changes == nil) != (c.want != nil) || asked != c.asked || opened.IsStopped() != (c.want != nil) {
			t.Errorf("%s: got %v, asked: %t", name, err, asked)
		}
	}
}
