// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/incident"
	"github.com/plumbline-dev/plumbline/internal/timeline"
)

// What the log no longer keeps is said, and a revision that only its
// declaration brought is the fleet's.
func TestHistoryIsPrintedAsFarAsItIsKnown(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.Local)
	h := timeline.History{Begins: now.Add(-time.Hour), Revisions: []timeline.Revision{
		{Application: "web", Commit: "aaaa", Outcome: timeline.Converged, Observed: now, Trigger: "poll", Cause: "declaration", Title: "first"},
		{Application: "web", Commit: "bbbb", Outcome: timeline.Converged, Observed: now, Trigger: "webhook", Cause: "commit", Partial: true, Title: "second"},
	}}
	printed := func() string {
		t.Helper()
		var out bytes.Buffer
		if err := printHistory(&out, formatTable, "web", h, h.Revisions, now); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	lines := strings.Split(printed(), "\n")
	if !strings.HasPrefix(lines[1], "2026-03-14 12:00") || !strings.Contains(lines[1], " fleet ") {
		t.Errorf("a declaration's: %s", lines[1])
	}
	if !strings.HasPrefix(lines[2], "before  ") || !strings.Contains(lines[2], " webhook ") {
		t.Errorf("one whose beginning is gone: %s", lines[2])
	}
	for whole, want := range map[bool]string{true: "with the first that this log was told", false: "the log keeps 256 events"} {
		if h.Whole = whole; !strings.Contains(printed(), want) {
			t.Errorf("whole %t: no %q in %s", whole, want, printed())
		}
	}
	h.Begins = time.Time{}
	if !strings.Contains(printed(), "keeps no observation of a commit any more") {
		t.Errorf("it begins nowhere: %s", printed())
	}
}

// Where people were told is said with what has kept it from them since, and
// not with what did before.
func TestWhereAnAlertWasTold(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	delivered := func(resolved bool) events.Event {
		return events.Event{Stored: 5, Time: now.Add(-time.Minute), Data: &events.AlertDelivered{Channel: "C1", Thread: "17.1", Resolved: resolved}}
	}
	failed := func(stored uint64) events.Event {
		return events.Event{Stored: stored, Data: &events.AlertFailed{Channel: "C2", Reason: events.ReasonChannelMissing, Message: "no such channel"}}
	}
	over := &incident.Closing{}
	for name, c := range map[string]struct {
		i    incident.Incident
		want string
	}{
		"nobody":      {incident.Incident{}, "nobody: no alert of it is in the log"},
		"told":        {incident.Incident{Delivered: delivered(false)}, "C1, thread 17.1, 60s ago"},
		"failed then": {incident.Incident{Delivered: delivered(false), Failed: failed(4)}, "C1, thread 17.1, 60s ago"},
		"failed now":  {incident.Incident{Delivered: delivered(false), Failed: failed(6)}, "C1, thread 17.1, 60s ago; not to C2: no such channel (channel_missing)"},
		"never":       {incident.Incident{Failed: failed(6)}, "nobody: no alert of it is in the log; not to C2: no such channel (channel_missing)"},
		"again":       {incident.Incident{Delivered: delivered(true)}, "C1, thread 17.1, 60s ago (of the time before)"},
		"over":        {incident.Incident{Delivered: delivered(true), Closed: over}, "C1, thread 17.1, 60s ago"},
	} {
		if got := (alertPrinter{now: now}).told(c.i); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
