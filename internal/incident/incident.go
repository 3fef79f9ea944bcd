// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/docs/playbooks"
	"github.com/plumbline-dev/plumbline/events"
)

// Incident is one thing that is wrong, or was. Texts in it that come from
// clusters and from Git are as they came: whoever shows them escapes them.
type Incident struct {
	Scope
	// Event is the newest event that says what is wrong; of a divergence that
	// never persisted, the one that says that it is gone.
	Event events.Event
	// Closed is what ended it; of an open one, nothing.
	Closed *Closing
	// Since is when it began: as Event says, or the time of the first event
	// of this incident that the view was given.
	Since time.Time

	Title   string // what is wrong, in one line, without the application
	Message string // for people, as the event has it
	Reason  string // the reason code; of a divergence "divergence-" and its kind
	// Commit is the revision that it is about; Author wrote it, or, of a
	// divergence, the commit in which the object last changed (Declared).
	Commit, CommitTitle, Author string
	// File and Line declare what is at fault.
	File string
	Line int
	// Object is what is at fault, where one object is.
	Object *events.Object
	// Fields are the fields that differ, of FieldCount.
	Fields     []events.FieldDifference
	FieldCount int
	Writer     *events.Writer
	// Failures are the objects at fault, of FailureCount.
	Failures     []events.ObjectFailure
	FailureCount int
	// Hold is the digest to approve.
	Hold string

	// Delivered is the newest alert.delivered about the scope, Failed the
	// newest alert.failed; their Data is nil where there is none.
	Delivered, Failed events.Event
}

// Closing is what ended an incident.
type Closing struct {
	How  string    // one word or a few, for people
	Time time.Time // when
	// Event is the id of the event that did, Stored its place in the log,
	// Commit its revision's, where it has one.
	Event  string
	Stored uint64
	Commit string
}

// Open reports whether it is still so.
func (i Incident) Open() bool { return i.Closed == nil }

// Late reports whether it was over when it was said: a word about an
// application that was no longer declared by then. It is no news.
func (i Incident) Late() bool {
	return i.Closed != nil && i.Closed.Stored == i.Event.Stored && i.Closed.Event != i.Event.ID
}

// Told is the newest alert that was delivered about it, nil where none was.
func (i Incident) Told() *events.AlertDelivered {
	p, _ := i.Delivered.Data.(*events.AlertDelivered)
	return p
}

// Place is the place in the log of the newest event that made it what it is.
func (i Incident) Place() uint64 {
	if i.Closed != nil {
		return i.Closed.Stored
	}
	return i.Event.Stored
}

// EventID is the id of that event.
func (i Incident) EventID() string {
	if i.Closed != nil {
		return i.Closed.Event
	}
	return i.Event.ID
}

// Says is what the incident says to people in short: type of event, reason,
// commit, and what is held. What says the same again is no news.
func (i Incident) Says() string {
	words := []string{i.Event.Type.Name()}
	for _, word := range []string{i.Reason, i.Commit, i.Hold} {
		if word != "" {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// Page is the name of the playbook for it (package playbooks), or "".
func (i Incident) Page() string { return playbooks.Of(i.Event) }

// Act is the command that does something about it, ready to paste, or "".
func (i Incident) Act() string {
	switch i.Kind {
	case Hold, Withdrawal:
		return "plumbline approve " + quoteArgument(i.Application) + " " + i.Hold
	case Divergence, Convergence:
		return "plumbline sync " + quoteArgument(i.Application)
	}
	return ""
}

// quoteArgument makes one word of a POSIX shell of s.
func quoteArgument(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// TraceID is the trace of the commit that it is about, 32 hex digits, or "".
func (i Incident) TraceID() string {
	parts := strings.Split(i.Event.Traceparent, "-")
	if len(parts) != 4 {
		return ""
	}
	return parts[1]
}
