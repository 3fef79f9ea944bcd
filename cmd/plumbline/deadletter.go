// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/status"
)

// fate is what has become of a dead letter.
type fate string

const (
	fateWaiting  fate = "waiting"  // counted out; it comes again by itself, ever more rarely
	fateAside    fate = "aside"    // put aside for good
	fateReplaced fate = "replaced" // a newer message is on its subject: nobody needs it any more
	fateTaken    fate = "taken"    // its service has taken it after all
)

// deadLetter is an input that a service did not take.
type deadLetter struct {
	told     events.Event // that says so
	service  string
	subject  string // that the input came on; empty: an observation of the service's own
	stored   uint64 // the input's place in the log; 0: not known
	input    string // the input's id; empty: not known
	reason   events.Reason
	message  string
	attempts int
	original *events.Blob
	fate     fate
}

// deadLetterOf reads one from an event. A revision that was counted out is told
// of in the event of its failure.
func deadLetterOf(e events.Event) (deadLetter, bool) {
	l := deadLetter{told: e, fate: fateAside}
	switch p := e.Data.(type) {
	case *events.MessageRejected:
		l.service, l.subject, l.stored, l.reason, l.message, l.attempts, l.original = p.Service, p.Subject, p.Stored, p.Reason, p.Message, p.Attempts, p.Original
		if p.Stored == 0 {
			l.subject = ""
		}
	case *events.RenderFailed:
		l.service, l.reason, l.message = "renderer", p.Reason, p.Message
	case *events.ConvergenceFailed:
		l.service, l.reason, l.message = "applier", p.Reason, p.Message
	default:
		return deadLetter{}, false
	}
	if l.reason == events.ReasonQuarantined {
		l.fate = fateWaiting
	}
	if _, rejected := e.Data.(*events.MessageRejected); rejected {
		return l, true
	}
	l.input = e.CausationID
	if kind := typeOfID(l.input); kind != nil && kind.Scope == events.ScopeApplication {
		l.subject = kind.Subject(events.Address{Cluster: e.Cluster, Application: e.Application})
	}
	return l, l.reason == events.ReasonQuarantined
}

// typeOfID is the type that an event's id names, or nil.
func typeOfID(id string) *events.Type {
	name, _, _ := strings.Cut(id, "-")
	return events.TypeNamed(name)
}

// id is how people name a dead letter: the digits of the event's id.
func (l deadLetter) id() string {
	_, digits, _ := strings.Cut(l.told.ID, "-")
	return digits
}

// undecodable reports whether the input is nothing that a service could ever
// take as it is.
func (l deadLetter) undecodable() bool {
	return slices.Contains([]events.Reason{events.ReasonBadEvent, events.ReasonWrongSubject, events.ReasonVersion}, l.reason)
}

// retry decides what to ask for, or says why there is nothing to ask for and
// what to do instead. Nobody but its publisher may publish an input again: a
// service is asked to look at the level, and does there what the input was for.
func (l deadLetter) retry() (draft events.Draft, said string, err error) {
	app := l.told.Application
	switch l.fate {
	case fateReplaced:
		return draft, "", fmt.Errorf("there is nothing to retry: a newer message has taken its place on %s", l.subject)
	case fateTaken:
		return draft, "", fmt.Errorf("there is nothing to retry: the %s has taken it after all", l.service)
	}
	switch {
	case l.reason == events.ReasonVersion:
		return draft, "", fmt.Errorf("the %s doesn't know this version of the event, and trying again doesn't teach it: upgrade the %s. It reads the newest of each kind again when it starts", l.service, l.service)
	case l.undecodable():
		return draft, "", fmt.Errorf("it can't be retried: it is no event that the %s could read, and only %s may publish on %s. %s", l.service, l.publisher(), or(l.subject, "its subject"), l.mend())
	case strings.HasPrefix(l.subject, events.Root+".approval.given."):
		return draft, "", fmt.Errorf("an approval is given again, not retried: see 'plumbline status %s', then 'plumbline approve %s DIGEST'", app, app)
	}
	what := "everywhere"
	if app != "" {
		what = "at " + app
	}
	draft = events.Draft{Data: &events.SyncRequested{By: operator()}, Address: events.Address{Application: app}}
	said = fmt.Sprintf("the %s is asked to look %s again, now; see 'plumbline events --follow'", l.service, what)
	return draft, said, nil
}

// publisher is who may publish on the letter's subject.
func (l deadLetter) publisher() string {
	if t, _, err := events.ParseSubject(l.subject); err == nil {
		return "the user of the " + t.Emitter
	}
	return "its publisher"
}

// mend says what makes good what an undecodable message was for.
func (l deadLetter) mend() string {
	if l.reason == events.ReasonWrongSubject {
		return "Plumbline's own services don't do this: find out who holds that user's key"
	}
	text := "Mend what published it; "
	if l.told.Application != "" {
		return text + fmt.Sprintf("'plumbline sync %s' has every service do again what is due", l.told.Application)
	}
	return text + "'plumbline sync' has every service do again what is due"
}

// readDeadLetters reads all of them, the newest first, and what has become of
// them.
func readDeadLetters(ctx context.Context, conn *bus.Conn) ([]deadLetter, error) {
	var all []deadLetter
	add := func(r bus.Record) error {
		if r.Err != nil {
			return nil
		}
		if l, ok := deadLetterOf(r.Event); ok {
			all = append(all, l)
		}
		return nil
	}
	for _, r := range []bus.Range{
		{Filter: "plumbline.v1.message.rejected.>"},
		{Filter: "plumbline.v1.render.failed.>", Holding: string(events.ReasonQuarantined)},
		{Filter: "plumbline.v1.convergence.failed.>", Holding: string(events.ReasonQuarantined)},
	} {
		if _, err := conn.Read(ctx, r, add); err != nil {
			return nil, err
		}
	}
	all = newestOfEach(all)
	return all, decideFates(ctx, conn, all)
}

// newestOfEach sorts dead letters, the newest first, and leaves of those that
// were told of several times under one id the newest: an input that comes again
// after the log's window of duplicates is told of again.
func newestOfEach(all []deadLetter) []deadLetter {
	slices.SortFunc(all, func(a, b deadLetter) int { return -compareStored(a.told, b.told) })
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(l deadLetter) bool {
		again := seen[l.told.ID]
		seen[l.told.ID] = true
		return again
	})
}

func compareStored(a, b events.Event) int {
	switch {
	case a.Stored < b.Stored:
		return -1
	case a.Stored > b.Stored:
		return 1
	}
	return 0
}

// decideFates finds out what has become of dead letters.
func decideFates(ctx context.Context, conn *bus.Conn, all []deadLetter) error {
	var subjects []string
	for _, l := range all {
		if l.subject != "" {
			subjects = append(subjects, l.subject)
		}
	}
	if len(subjects) == 0 {
		return nil
	}
	slices.Sort(subjects)
	records, err := conn.Latest(ctx, slices.Compact(subjects)...)
	if err != nil {
		return err
	}
	newest := map[string]bus.Record{}
	for _, r := range records {
		newest[r.Subject] = r
	}
	for i := range all {
		l := &all[i]
		last, there := newest[l.subject]
		switch {
		case l.subject == "":
		case !there, l.stored > 0 && last.Stored > l.stored, l.input != "" && last.Event.ID != l.input:
			l.fate = fateReplaced
		case l.fate == fateWaiting:
			l.stored, l.input = last.Stored, last.Event.ID
			if err := l.decideTaken(ctx, conn); err != nil {
				return err
			}
		}
	}
	return nil
}

// decideTaken looks for what a quarantined input has led to since.
func (l *deadLetter) decideTaken(ctx context.Context, conn *bus.Conn) error {
	if l.input == "" || l.told.Application == "" {
		return nil
	}
	all, err := eventsOf(ctx, conn, l.told.Application, "*", l.told.Stored+1)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, l.ledTo) {
		l.fate = fateTaken
	}
	return nil
}

// ledTo reports whether an event is what the input led to after all, or what
// its service has done of the same revision since.
func (l *deadLetter) ledTo(e events.Event) bool {
	if _, dead := deadLetterOf(e); dead || !strings.HasPrefix(e.Source, events.Source(l.service, "")) {
		return false
	}
	same := l.told.Sequence > 0 && e.Sequence == l.told.Sequence && e.Epoch == l.told.Epoch
	switch e.Data.(type) {
	case *events.ManifestsRendered, *events.ManifestsUnchanged, *events.ConvergenceApplied, *events.ConvergenceCompleted:
		return same || e.CausationID == l.input
	}
	return e.CausationID == l.input
}

// findDeadLetter finds the one that a user names by the beginning of its id.
func findDeadLetter(all []deadLetter, name string) (deadLetter, error) {
	if typeOfID(name) != nil {
		_, name, _ = strings.Cut(name, "-")
	}
	var found []deadLetter
	for _, l := range all {
		if strings.HasPrefix(l.id(), strings.ToLower(name)) {
			found = append(found, l)
		}
	}
	switch {
	case len(name) < 4:
		return deadLetter{}, usagef("ID %q: want at least 4 digits of it", name)
	case len(found) == 0 && len(all) == 0:
		return deadLetter{}, fmt.Errorf("there is no dead letter %s, and no other either", name)
	case len(found) == 0:
		return deadLetter{}, fmt.Errorf("there is no dead letter %s: see 'plumbline dead-letters list --all'", name)
	case len(found) > 1:
		var ids []string
		for _, l := range found {
			ids = append(ids, status.Short(l.id()))
		}
		return deadLetter{}, fmt.Errorf("%s is the beginning of several (%s): give more of it", name, strings.Join(ids, ", "))
	}
	return found[0], nil
}
