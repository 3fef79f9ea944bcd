// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"fmt"
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

// statement is what an event says to people.
type statement struct {
	event, reason string
	messages      []string
	places        []place
	objects       []string
}

type place struct {
	file string
	line int
}

// said takes the statement out of an event.
func said(e events.Event) statement {
	s := statement{event: e.Type.Name()}
	say := func(r events.Reason, message string) {
		s.reason = string(r)
		if message != "" {
			s.messages = append(s.messages, message)
		}
	}
	switch d := e.Data.(type) {
	case *events.CommitRejected:
		say(d.Reason, d.Message)
	case *events.SourceUnreachable:
		say(d.Reason, d.Message)
		s.objects = []string{"Repository/" + d.Repository}
	case *events.FleetRejected:
		s.reason = string(d.Reason)
		for _, p := range d.Problems {
			s.messages = append(s.messages, strings.TrimSpace(p.Field+" "+p.Message))
			s.places = append(s.places, place{d.File, p.Line})
		}
	case *events.RenderFailed:
		say(d.Reason, d.Message)
		s.places = []place{{d.File, d.Line}}
		if d.Object != nil {
			s.objects = []string{d.Object.Kind + "/" + d.Object.Name}
		}
	case *events.ConvergenceFailed:
		say(d.Reason, d.Message)
		s.failures(d.Failures)
	case *events.ConvergenceDegraded:
		say(d.Reason, d.Message)
		s.failures(d.Failures)
	case *events.ConvergenceHeld:
		say(d.Reason, d.Message)
	case *events.MessageRejected:
		say(d.Reason, d.Message)
	case *events.DivergencePersisted:
		say(events.Reason(d.Kind), "")
	case *events.AlertFailed:
		say(d.Reason, d.Message)
	}
	return s
}

func (s *statement) failures(list []events.ObjectFailure) {
	for _, f := range list {
		s.messages = append(s.messages, f.Message)
		s.places = append(s.places, place{f.File, f.Line})
		s.objects = append(s.objects, f.Kind+"/"+f.Name)
	}
}

func (s statement) String() string {
	return fmt.Sprintf("%s %s %q at %v about %v", s.event, s.reason, s.messages, s.places, s.objects)
}

// holds says whether something of it has a part.
func (s statement) holds(part string) bool {
	return strings.Contains(strings.Join(s.messages, "\n"), part)
}

// wrong says how a statement is not what is wanted; empty: it is.
func (w Want) wrong(s statement) string {
	fits := s.event == w.Event && s.reason == w.Reason
	for _, part := range w.Says {
		fits = fits && s.holds(part)
	}
	if w.File != "" {
		fits = fits && slices.ContainsFunc(s.places, func(p place) bool { return p.file == w.File && (w.Line == 0 || p.line == w.Line) })
	}
	if w.Object != "" {
		fits = fits && slices.Contains(s.objects, w.Object)
	}
	if fits {
		return ""
	}
	return s.String()
}
