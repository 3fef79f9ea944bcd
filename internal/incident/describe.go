// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"cmp"
	"fmt"

	"github.com/plumbline-dev/plumbline/events"
)

// describe fills in what the event says.
func describe(i *Incident) {
	switch p := i.Event.Data.(type) {
	case *events.DivergencePersisted:
		describeDivergence(i, p.Divergence)
	case *events.DivergenceResolved:
		describeDivergence(i, p.Divergence)
	case *events.RenderFailed:
		i.Title, i.Message, i.Reason, i.File, i.Line, i.Object = "can't be rendered", p.Message, string(p.Reason), p.File, p.Line, p.Object
		i.revision(p.Revision)
	case *events.CommitRejected:
		i.Title = "a commit was refused"
		i.Message, i.Reason, i.Commit, i.Author = p.Message, string(p.Reason), p.Commit, p.Author.Name
	case *events.ConvergenceFailed:
		i.Title = "did not converge"
		i.Message, i.Reason = p.Message, string(p.Reason)
		i.revision(p.Revision)
		i.failures(p.Failures, p.Failed)
	case *events.ConvergenceDegraded:
		i.Title = "lost its health"
		i.Message, i.Reason = p.Message, string(p.Reason)
		i.revision(p.Revision)
		i.failures(p.Failures, len(p.Failures))
	case *events.ConvergenceHeld:
		i.Title = "waits for an approval"
		i.Message, i.Reason, i.Hold = p.Message, string(p.Reason), p.Hold
		i.revision(p.Revision)
	case *events.ApplicationWithdrawn:
		i.Title = "is no longer declared, and waits for an approval"
		i.Message, i.Reason, i.Hold = p.Message, string(p.Reason), p.Hold
		i.Commit = p.Fleet
		if !p.Since.IsZero() && p.Since.Before(i.Since) {
			i.Since = p.Since
		}
	case *events.SourceUnreachable:
		i.Title = fmt.Sprintf("repository %s can't be read", p.Repository)
		if len(p.Refs) > 0 {
			i.Title = fmt.Sprintf("a ref of repository %s is gone", p.Repository)
		}
		i.Message, i.Reason, i.Since = p.Message, string(p.Reason), p.Since
	case *events.FleetRejected:
		describeRejection(i, p)
	}
}

func (i *Incident) revision(r events.Revision) {
	i.Commit, i.CommitTitle, i.Author = r.Commit, r.Title, r.Author.Name
}

// failures takes the objects at fault, and of the first one where it is
// declared.
func (i *Incident) failures(all []events.ObjectFailure, count int) {
	i.Failures, i.FailureCount = all, max(count, len(all))
	if len(all) > 0 {
		i.Object, i.File, i.Line = &all[0].Object, all[0].File, all[0].Line
	}
}

func describeDivergence(i *Incident, d events.Divergence) {
	what := "a revision"
	if d.Object != nil {
		what = d.Object.String()
	}
	switch d.Kind {
	case events.DivergenceChanged:
		i.Title = what + " differs from Git"
	case events.DivergenceRemoved:
		i.Title = what + " lacks what Git declares"
	case events.DivergenceDeleted:
		i.Title = what + " was deleted"
	case events.DivergenceMissing:
		i.Title = what + " is missing"
	case events.DivergenceIntruded:
		i.Title = what + " was written by another under Plumbline's name"
	case events.DivergenceStalled:
		i.Title = what + " is not converged in time"
	default:
		i.Title = what + " differs from Git"
	}
	i.Message, i.Reason, i.Since = d.Message, "divergence-"+string(d.Kind), d.Since
	i.Object, i.Fields, i.FieldCount, i.Writer = d.Object, d.Fields, max(d.FieldCount, len(d.Fields)), d.Writer
	i.File, i.Line = d.File, d.Line
	i.revision(d.Revision)
	if d.Declared.Commit != "" {
		if d.Declared.Commit != d.Revision.Commit {
			i.CommitTitle = ""
		}
		i.Commit, i.Author = d.Declared.Commit, d.Declared.Author
	}
}

func describeRejection(i *Incident, p *events.FleetRejected) {
	name := p.File
	if p.Kind != "" && p.Name != "" {
		name = p.Kind + " " + p.Name
	}
	i.Title = "the declaration of " + name + " is refused"
	i.Reason, i.File, i.Commit = cmp.Or(string(p.Reason), "fleet-rejected"), p.File, p.Commit
	if len(p.Problems) > 0 {
		first := p.Problems[0]
		i.Line, i.Message = first.Line, first.Message
		if first.Field != "" {
			i.Message = first.Field + ": " + first.Message
		}
	}
	if n := len(p.Problems); n > 1 {
		i.Message += fmt.Sprintf(" (and %d more)", n-1)
	}
}
