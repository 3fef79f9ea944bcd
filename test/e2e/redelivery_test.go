// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// Every event of the log is delivered again to everyone, from the first on.
// No object of the cluster gets a new resourceVersion.
func TestEveryEventDeliveredAgain(t *testing.T) {
	s := play(t, "again", configMaps(4, "0"))
	s.settled()
	var last string
	for i := range 4 {
		mark := s.Bus.Mark()
		last = s.commit(configMaps(4, fmt.Sprint(i+1)))
		s.converged(mark, last)
	}
	before := s.versions()
	mark := s.Bus.Mark()
	if err := s.DeliverAgain(s.ctx()); err != nil {
		t.Fatal(err)
	}
	// A commit that comes after all of it has been worked off after it.
	commit := s.commit(map[string]string{"deploy/new.yaml": configMap("new", "x")})
	s.converged(mark, commit)
	if err := s.Drained(s.ctx()); err != nil {
		t.Fatal(err)
	}
	if after := s.versions(); !sameBut(before, after, "new") {
		t.Errorf("redelivery changed the cluster:\n%s\nbecame\n%s", before, after)
	}
	for _, e := range s.Bus.Since(mark) {
		if c, ok := e.Data.(*events.ConvergenceApplied); ok && c.Revision.Commit != commit && c.Counts.Configured+c.Counts.Created+c.Counts.Pruned > 0 {
			t.Errorf("redelivery applied %s again: %+v", c.Revision.Commit, c.Counts)
		}
	}
}

// Two appliers on one cluster by mistake: the cluster ends at the tip, and no
// revision comes back.
func TestTwoAppliers(t *testing.T) {
	s := play(t, "twins", one("0"))
	s.settled()
	second := s.Another("applier")
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.Stop(); err != nil {
			t.Error(err)
		}
	})
	moments, err := s.Kube.Watch(t.Context(), configMapsResource, s.namespace, "cm")
	if err != nil {
		t.Fatal(err)
	}
	const last = 12
	for i := 1; i <= last; i++ {
		s.commit(one(fmt.Sprint(i)))
	}
	highest := 0
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for highest < last {
		select {
		case m := <-moments:
			var n int
			data, _ := m.Object.Object["data"].(map[string]any)
			if _, err := fmt.Sscan(fmt.Sprint(data["v"]), &n); err != nil {
				t.Fatal(err)
			}
			if n < highest {
				t.Fatalf("revision %d came back after %d", n, highest)
			}
			highest = n
		case <-deadline.C:
			t.Fatalf("the cluster stayed at %d of %d", highest, last)
		}
	}
}
