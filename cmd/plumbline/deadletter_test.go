// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// Whatever a dead letter is, a retry either asks for a look or says what to do
// instead; nothing that can't be read, and nothing that is over, is asked for.
func TestRetryOfEveryDeadLetter(t *testing.T) {
	reasons := []events.Reason{events.ReasonBadEvent, events.ReasonWrongSubject, events.ReasonVersion, events.ReasonQuarantined, events.ReasonIntegrity, "another"}
	subjects := []string{"", "plumbline.v1.commit.observed.local.web", "plumbline.v1.approval.given.local.web", "plumbline.v1.no.such"}
	for _, reason := range reasons {
		for _, fate := range []fate{fateWaiting, fateAside, fateReplaced, fateTaken} {
			for _, subject := range subjects {
				for _, app := range []string{"", "web"} {
					l := deadLetter{
						told: events.Event{Address: events.Address{Application: app}}, service: "renderer",
						reason: reason, fate: fate, subject: subject,
					}
					draft, said, err := l.retry()
					over := fate == fateReplaced || fate == fateTaken
					wanted := !over && !l.undecodable() && !strings.Contains(subject, ".approval.")
					if wanted != (err == nil) || wanted != (said != "") {
						t.Errorf("%s %s on %q: %q, %v", reason, fate, subject, said, err)
					}
					if !wanted {
						continue
					}
					if p, ok := draft.Data.(*events.SyncRequested); !ok || p.By == "" || draft.Address != (events.Address{Application: app}) {
						t.Errorf("%s %s on %q asks for %+v", reason, fate, subject, draft)
					}
				}
			}
		}
	}
}

func TestDeadLetterOf(t *testing.T) {
	a := events.Address{Cluster: local, Application: "web"}
	for name, c := range map[string]struct {
		e    events.Event
		want bool
		fate fate
	}{
		"put aside":       {events.Event{Data: &events.MessageRejected{Reason: events.ReasonBadEvent, Stored: 1}}, true, fateAside},
		"counted out":     {events.Event{Data: &events.MessageRejected{Reason: events.ReasonQuarantined, Stored: 1}}, true, fateWaiting},
		"render, counted": {events.Event{Address: a, CausationID: "commit.observed-1", Data: &events.RenderFailed{Reason: events.ReasonQuarantined}}, true, fateWaiting},
		"render failed":   {events.Event{Address: a, Data: &events.RenderFailed{Reason: events.ReasonSyntax}}, false, ""},
		"apply, counted":  {events.Event{Address: a, CausationID: "manifests.rendered-1", Data: &events.ConvergenceFailed{Reason: events.ReasonQuarantined}}, true, fateWaiting},
		"apply failed":    {events.Event{Address: a, Data: &events.ConvergenceFailed{Reason: events.ReasonRefused}}, false, ""},
		"anything else":   {events.Event{Address: a, Data: &events.CommitObserved{}}, false, ""},
	} {
		l, ok := deadLetterOf(c.e)
		if ok != c.want || ok && l.fate != c.fate {
			t.Errorf("%s: %t, %s; want %t, %s", name, ok, l.fate, c.want, c.fate)
		}
		if strings.HasSuffix(name, "counted") && l.subject == "" {
			t.Errorf("%s: the subject of its input is not known", name)
		}
	}
}

// What is told of again after the window of duplicates has the id that it had:
// it is one dead letter, the newest, and its id still names it.
func TestDeadLetterThatIsToldOfAgain(t *testing.T) {
	told := func(id string, stored uint64) deadLetter {
		return deadLetter{told: events.Event{ID: "message.rejected-" + id, Stored: stored}}
	}
	all := newestOfEach([]deadLetter{told("5f2c00", 3), told("ab1200", 7), told("5f2c00", 9)})
	if len(all) != 2 || all[0].told.Stored != 9 || all[1].told.Stored != 7 {
		t.Fatalf("dead letters %+v", all)
	}
	if l, err := findDeadLetter(all, "5f2c00"); err != nil || l.told.Stored != 9 {
		t.Errorf("found %d, %v", l.told.Stored, err)
	}
}
