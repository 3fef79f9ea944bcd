// SPDX-License-Identifier: Apache-2.0

package faults

import "testing"

// TestOwed has an applier say nothing for a while of a revision that was rendered:
// that is no rest, until it does, or the log is another.
func TestOwed(t *testing.T) {
	r := &Recorder{last: map[string]Event{}, outcome: map[string]bool{}, open: map[string]string{}, epoch: "one"}
	view := &gitView{declared: map[string]App{"shop": {Name: "shop"}}}
	of := func(kind string, sequence uint64) Event {
		return Event{Type: kind, App: "shop", Epoch: "one", Log: "one", Sequence: sequence}
	}
	steps := []struct {
		what  string
		event Event
		owes  bool
	}{
		{"observed", of("commit.observed", 1), false},
		{"rendered", of("manifests.rendered", 1), true},
		{"a newer one observed", of("commit.observed", 2), true},
		{"the newer one fails", of("render.failed", 2), true},
		{"applied", of("convergence.applied", 1), false},
		{"the next one rendered", of("manifests.rendered", 3), true},
		{"a newer one of the same bundle stands for it", of("manifests.unchanged", 4), false},
	}
	for _, s := range steps {
		r.hear(s.event)
		if owed := r.owed(view); (owed != "") != s.owes {
			t.Errorf("%s: owed is %q", s.what, owed)
		}
	}
	r.hear(of("manifests.rendered", 5))
	r.epoch = "two"
	if owed := r.owed(view); owed != "" {
		t.Errorf("in another life of the log: owed is %q", owed)
	}
}
