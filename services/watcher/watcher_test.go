// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

func TestCommitsBecomeRevisions(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "api", "web")
	declared := l.declareShop("api", "web")
	l.watch()

	first, data := l.observed("web", a)
	if data.FleetCommit != declared || data.Declaration.Source.URL != l.shop.URL || data.Revision.Ref != "refs/heads/main" ||
		data.Revision.Title != "Change" || data.Revision.Author.Name != "Ada" || data.Revision.Signature.Verdict != "unsigned" {
		t.Errorf("revision: %+v", data)
	}
	if first.Sequence != first.Stored || first.Epoch == "" || first.Traceparent == "" || first.CorrelationID != "web@"+a {
		t.Errorf("event: %+v", first)
	}
	bustest.Eventually(t, "the fleet's list", func() bool {
		e := l.last(&events.FleetObserved{}, events.Address{Cluster: "local"})
		return e != nil && e.Data.(*events.FleetObserved).Count == 2 && e.Data.(*events.FleetObserved).Commit == declared
	})
	l.observed("api", a)

	// What changed under an application's path goes first.
	b := l.put("b", "web")
	second, _ := l.observed("web", b)
	other, _ := l.observed("api", b)
	if second.Stored > other.Stored {
		t.Error("the application whose path didn't change went first")
	}
	if ahead := other.Time.Sub(second.Time); ahead < headStart/2 {
		t.Errorf("the application whose path changed was %s ahead, want about %s", ahead, headStart)
	}
	if second.Traceparent != other.Traceparent || second.Traceparent == first.Traceparent {
		t.Errorf("one trace per commit: %s, %s, before %s", second.Traceparent, other.Traceparent, first.Traceparent)
	}
	l.same("revisions", l.revisions(map[string]string{a: "A", b: "B"}),
		"api A declaration", "web A declaration", "web B commit", "api B commit")
}
