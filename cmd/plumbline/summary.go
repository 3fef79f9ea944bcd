// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/status"
)

// summary is what an event says, in a line for people.
func summary(e events.Event) string {
	switch p := e.Data.(type) {
	case *events.CommitObserved:
		return fmt.Sprintf("%s “%s” by %s (%s)", status.Short(p.Revision.Commit), p.Revision.Title, p.Revision.Author.Name, p.Revision.Trigger)
	case *events.CommitRejected:
		return fmt.Sprintf("%s: %s", status.Short(p.Commit), p.Message)
	case *events.SourceUnreachable:
		return fmt.Sprintf("%s: %s", p.Repository, p.Message)
	case *events.SourceRecovered:
		return fmt.Sprintf("%s, after %s", p.Repository, brief(p.After))
	case *events.FleetObserved:
		text := fmt.Sprintf("%s: %s for cluster %s", status.Short(p.Commit), count(p.Count, "application"), e.Cluster)
		if p.Held > 0 {
			text += fmt.Sprintf(", %d held", p.Held)
		}
		return text
	case *events.FleetRejected:
		return rejection(p)
	case *events.ManifestsRendered:
		text := fmt.Sprintf("%s: %s, bundle %s", status.Short(p.Revision.Commit), count(p.Objects.Count, "object"), status.Short(p.Digest))
		if p.RecoveredFrom > 0 {
			text += ", renders again"
		}
		return text
	case *events.ManifestsUnchanged:
		return fmt.Sprintf("%s: still bundle %s", status.Short(p.Revision.Commit), status.Short(p.Digest))
	case *events.RenderFailed:
		return fmt.Sprintf("%s: %s%s (%s)", status.Short(p.Revision.Commit), position(p.File, p.Line), p.Message, p.Reason)
	}
	if text, ok := summaryOfConvergence(e); ok {
		return text
	}
	if text, ok := summaryOfDivergence(e); ok {
		return text
	}
	return summaryOfOperation(e)
}

func summaryOfConvergence(e events.Event) (string, bool) {
	switch p := e.Data.(type) {
	case *events.ConvergenceApplied:
		return fmt.Sprintf("%s: %s", status.Short(p.Revision.Commit), counts(p.Counts)), true
	case *events.ConvergenceCompleted:
		text := status.Short(p.Revision.Commit) + ": live equals Git"
		if p.Cause == "revision" {
			text += fmt.Sprintf(", %s after it was observed", brief(p.After))
		} else if p.Cause != "" {
			text += fmt.Sprintf(" (%s)", p.Cause)
		}
		return text, true
	case *events.ConvergenceFailed:
		text := fmt.Sprintf("%s: %s (%s)", status.Short(p.Revision.Commit), p.Message, p.Reason)
		for _, f := range p.Failures[:min(3, len(p.Failures))] {
			if !strings.Contains(text, f.Message) {
				text += fmt.Sprintf("; %s%s: %s", position(f.File, f.Line), f.Object, f.Message)
			}
		}
		return text, true
	case *events.ConvergenceDegraded:
		return fmt.Sprintf("%s: %s (%s)", status.Short(p.Revision.Commit), p.Message, p.Reason), true
	case *events.ConvergenceHeld:
		return fmt.Sprintf("%s: %s. Approve: plumbline approve %s %s", status.Short(p.Revision.Commit), strings.TrimSuffix(p.Message, "."), e.Application, status.Short(p.Hold)), true
	case *events.ConvergenceSuperseded:
		return fmt.Sprintf("%s: a newer revision came", status.Short(p.Revision.Commit)), true
	case *events.ConvergenceRolledBack:
		return fmt.Sprintf("back to bundle %s (%s)", status.Short(p.Digest), p.Reason), true
	case *events.ApplicationWithdrawn:
		text := fmt.Sprintf("no longer declared: %s %s", count(p.Objects.Count, "object"), p.Outcome)
		if p.Message != "" {
			text += ": " + p.Message
		}
		if p.Hold != "" {
			text += fmt.Sprintf(". Approve: plumbline approve %s %s", e.Application, status.Short(p.Hold))
		}
		return text, true
	}
	return "", false
}

func summaryOfDivergence(e events.Event) (string, bool) {
	switch p := e.Data.(type) {
	case *events.DivergenceDetected:
		return divergence(p.Divergence), true
	case *events.DivergencePersisted:
		return fmt.Sprintf("for %s: %s", brief(p.After), divergence(p.Divergence)), true
	case *events.AuditLimited:
		if p.Count == 0 {
			return "every object is audited again", true
		}
		return fmt.Sprintf("%s not wholly audited: %s", count(p.Count, "object"), p.Objects[0].Message), true
	case *events.DivergenceResolved:
		return fmt.Sprintf("%s: %s after %s", object(p.Divergence), p.How, brief(p.After)), true
	}
	return "", false
}

func summaryOfOperation(e events.Event) string {
	switch p := e.Data.(type) {
	case *events.AlertDelivered:
		return "to " + p.Channel
	case *events.AlertFailed:
		return fmt.Sprintf("%s: %s (%s)", p.Channel, p.Message, p.Reason)
	case *events.MessageRejected:
		return fmt.Sprintf("%s refused event %d on %s: %s (%s)", p.Service, p.Stored, p.Subject, p.Message, p.Reason)
	case *events.SyncRequested:
		return "by " + p.By
	case *events.ApprovalGiven:
		return fmt.Sprintf("%s by %s", status.Short(p.Hold), p.By)
	}
	return ""
}

// divergence is what differs, who wrote it, and the line of Git against it.
func divergence(d events.Divergence) string {
	if len(d.Fields) == 0 && d.Message != "" {
		return d.Message
	}
	text := fmt.Sprintf("%s %s", object(d), d.Kind)
	if len(d.Fields) > 0 {
		text += ": " + field(d.Fields[0])
		if more := max(d.FieldCount, len(d.Fields)) - 1; more > 0 {
			text += fmt.Sprintf(" (and %d more)", more)
		}
	}
	if d.Writer != nil {
		text += "; by " + d.Writer.Manager
	}
	if d.File != "" {
		text += "; " + strings.TrimSuffix(position(d.File, d.Line), ": ")
	}
	return text
}

func field(f events.FieldDifference) string {
	if f.Redacted {
		return f.Path
	}
	return fmt.Sprintf("%s is %s, Git says %s", f.Path, or(f.Live, "absent"), or(f.Desired, "nothing"))
}

func object(d events.Divergence) string {
	if d.Object == nil {
		return "revision " + status.Short(d.Revision.Commit)
	}
	return d.Object.String()
}

func rejection(p *events.FleetRejected) string {
	var texts []string
	for _, problem := range p.Problems {
		text := position(p.File, problem.Line)
		if problem.Field != "" {
			text += problem.Field + ": "
		}
		texts = append(texts, text+problem.Message)
	}
	text := or(strings.Join(texts, "; "), or(p.File, "a declaration"))
	if p.Reason != "" {
		text += fmt.Sprintf(" (%s)", p.Reason)
	}
	if len(p.Holds) > 0 {
		text += "; stays as it was: " + strings.Join(p.Holds, ", ")
	}
	return text
}

// counts names what was done, leaving out what was not.
func counts(c events.Counts) string {
	var texts []string
	for _, x := range []struct {
		n    int
		what string
	}{
		{c.Created, "created"},
		{c.Configured, "configured"},
		{c.Adopted, "adopted"},
		{c.Pruned, "pruned"},
		{c.Unchanged, "unchanged"},
	} {
		if x.n > 0 {
			texts = append(texts, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	if len(texts) == 0 {
		return "nothing to do"
	}
	return strings.Join(texts, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// position is "file:line: ", as far as it is known.
func position(file string, line int) string {
	switch {
	case file == "":
		return ""
	case line == 0:
		return file + ": "
	}
	return fmt.Sprintf("%s:%d: ", file, line)
}

// brief is a duration with as many digits as people read.
func brief(d events.Duration) string {
	std := d.Std()
	switch {
	case std >= 10*time.Second:
		return std.Round(time.Second).String()
	case std >= time.Second:
		return std.Round(100 * time.Millisecond).String()
	}
	return std.Round(time.Millisecond).String()
}
