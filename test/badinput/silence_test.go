// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// silences are the inputs of which nothing bad is to be said, to be judged once
// all is done: what is wrong with them may be noticed late.
type silences struct {
	mu   sync.Mutex
	list []silence
}

type silence struct {
	in    Input
	since int    // mark of the first event that may be about it
	own   uint64 // place in the log of what the input itself said; 0: nothing
}

func (s *silences) add(in Input, since int, own uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, silence{in, since, own})
}

// kept looks for what was said of inputs of which nothing is to be said.
func (s *stage) kept(t *testing.T) {
	t.Helper()
	s.silences.mu.Lock()
	list := slices.Clone(s.silences.list)
	s.silences.mu.Unlock()
	for _, one := range list {
		for _, e := range s.Bus.Since(one.since) {
			if one.broken(e) {
				t.Errorf("%s: nothing was to be said, and it is: %s", one.in.ID(), said(e.Event))
			}
		}
	}
}

// broken says whether an event is one that was not to be said.
func (s silence) broken(e rig.Seen) bool {
	if d, ok := e.Data.(*events.MessageRejected); ok && s.own != 0 && d.Stored == s.own {
		return true
	}
	if e.Application != s.in.ID() || e.ID == s.in.ownID() {
		return false
	}
	name := e.Type.Name()
	return strings.HasPrefix(name, "divergence.") || strings.HasSuffix(name, ".failed") || strings.HasSuffix(name, ".rejected")
}
