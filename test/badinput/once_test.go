// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// fault is what a failure is about: the input, and the revision of it.
func fault(e events.Event) (about string, ok bool) {
	switch d := e.Data.(type) {
	case *events.CommitRejected:
		return fmt.Sprintf("%s of %s at %s", d.Ref, d.Repository, d.Commit), true
	case *events.SourceUnreachable:
		return fmt.Sprintf("%s since %s", d.Repository, d.Since), true
	case *events.FleetRejected:
		line := 0 // of one declaration among those of one name
		if len(d.Problems) > 0 {
			line = d.Problems[0].Line
		}
		return fmt.Sprintf("%s/%s in %s:%d at %s", d.Kind, d.Name, d.File, line, d.Commit), true
	case *events.RenderFailed:
		return fmt.Sprintf("%s at %s", e.Application, d.Revision.Commit), true
	case *events.ConvergenceFailed:
		return fmt.Sprintf("%s at %s", e.Application, d.Revision.Commit), true
	case *events.MessageRejected:
		return fmt.Sprintf("message %d for the %s", d.Stored, d.Service), true // each service that reads it refuses it
	}
	return "", false
}

// saidOnce holds what fails to one event: neither the same failure of one
// revision again, nor another of it.
func (s *stage) saidOnce(t *testing.T) {
	t.Helper()
	said := map[string][]string{}
	for _, e := range s.Bus.Since(0) {
		if about, ok := fault(e.Event); ok {
			said[about] = append(said[about], statementOf(e.Event))
		}
	}
	for about, list := range said {
		if len(list) > 1 {
			slices.Sort(list)
			t.Errorf("%s: %d failures were said of it: %s", about, len(list), strings.Join(list, ", "))
		}
	}
}

// statementOf is type, reason and messages of an event.
func statementOf(e events.Event) string {
	s := said(e)
	return fmt.Sprintf("%s %s %.400q", s.event, s.reason, s.messages)
}
