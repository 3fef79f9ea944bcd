// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"fmt"
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
// revision again, nor another of it, but that which the input wants to follow.
func (s *stage) saidOnce(t *testing.T) {
	t.Helper()
	told := map[string][]statement{}
	of := map[string]string{} // the application
	for _, e := range s.Bus.Since(0) {
		if about, ok := fault(e.Event); ok {
			told[about] = append(told[about], said(e.Event))
			of[about] = e.Application
		}
	}
	then := map[string]string{}
	for _, in := range s.inputs {
		if in.Want.Then != "" {
			then[in.ID()] = in.Want.Then
		}
	}
	for about, list := range told {
		if part := then[of[about]]; part != "" && len(list) == 2 && list[1].holds(part) {
			continue
		}
		if len(list) > 1 {
			t.Errorf("%s: %d failures were said of it: %.400q", about, len(list), list)
		}
	}
}
