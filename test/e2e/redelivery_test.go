// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"syscall"
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
	before, record := s.versions(), s.record()
	mark := s.Bus.Mark()
	if err := s.DeliverAgain(s.ctx()); err != nil {
		t.Fatal(err)
	}
	if err := s.Drained(s.ctx()); err != nil {
		t.Fatal(err)
	}
	if again := s.record(); again != record {
		t.Errorf("redelivery wrote the inventory: %s became %s", record, again)
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

// Two appliers on one cluster by mistake, and one that sleeps for a while with
// revisions in its hands: the cluster ends at the tip, and no revision comes
// back.
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
	const paused, back, last = 6, 12, 13
	highest := 0
	follow := func(until int) {
		t.Helper()
		deadline := time.NewTimer(patience)
		defer deadline.Stop()
		for highest < until {
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
				t.Fatalf("the cluster stayed at %d of %d", highest, until)
			}
		}
	}
	for i := 1; i <= back; i++ {
		s.commit(one(fmt.Sprint(i)))
		if i == paused { // it holds what came to it, and wakes up when others have done that
			follow(i)
			if err := s.Process("applier").Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Process("applier").Signal(syscall.SIGCONT) }) // it may have ended
		}
	}
	follow(back)
	if err := s.Process("applier").Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.commit(one(fmt.Sprint(last)))
	follow(last)
	if err := s.Drained(s.ctx()); err != nil {
		t.Fatal(err)
	}
	if got := s.value("cm"); got != fmt.Sprint(last) {
		t.Errorf("in the end the cluster has %s, Git has %d", got, last)
	}
}
