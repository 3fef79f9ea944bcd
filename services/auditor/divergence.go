// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"fmt"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// maxFields is how many bytes of differences one event carries, so that it
// stays under the limit of an event.
const maxFields = 20 << 10

// divergence says what differs on one object.
func (app *application) divergence(key string, o declared, v Verdict, now time.Time) events.Divergence {
	m := app.manifests
	object := o.Object
	d := events.Divergence{
		Key: key, Kind: v.Kind, Object: &object, Since: now, ResourceVersion: v.At,
		Digest: m.Digest, Revision: m.Revision,
		FieldCount: len(v.Differences), Writer: writerOf(v.Differences),
		File: o.File, Line: o.Line, Declared: o.Since,
		Heal: m.Declaration.Audit.Heal && m.Declaration.Converge.Mode == events.ModeAuto,
	}
	size := 0
	for _, difference := range v.Differences {
		size += len(difference.Path) + len(difference.Desired) + len(difference.Live)
		if len(d.Fields) == events.MaxInline || size > maxFields {
			break
		}
		d.Fields = append(d.Fields, difference.FieldDifference)
	}
	d.Message = describe(d, m.Declaration.Converge.Mode)
	return d
}

// writerOf is the last writer on record of what differs; nil where there is
// none, as for everything that is absent.
func writerOf(differences []Difference) *events.Writer {
	var last *events.Writer
	for _, d := range differences {
		if d.Writer != nil && (last == nil || d.Writer.Time.After(last.Time)) {
			last = d.Writer
		}
	}
	if last == nil {
		return nil
	}
	w := *last
	return &w
}

// describe says for people what happened, who did it as far as the API server
// recorded it, and what comes next.
func describe(d events.Divergence, mode events.Mode) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", d.Object, what(d))
	if d.File != "" {
		fmt.Fprintf(&b, ", declared in %s:%d", d.File, d.Line)
	}
	b.WriteString(". ")
	switch {
	case d.Writer != nil && d.Kind == events.DivergenceIntruded:
		fmt.Fprintf(&b, "Someone wrote under the name of Plumbline's own field manager%s.", clock(d.Writer.Time))
	case d.Writer != nil:
		fmt.Fprintf(&b, "Written by %s%s.", writerName(*d.Writer), clock(d.Writer.Time))
	case d.Kind == events.DivergenceMissing || d.Kind == events.DivergenceDeleted:
		b.WriteString("The API server records no writer of what is absent.")
	case d.Kind == events.DivergenceRemoved:
		b.WriteString("Removed, writer not recorded.")
	default:
		b.WriteString("Writer not recorded.")
	}
	switch {
	case d.Heal:
		b.WriteString(nextHeal)
	case mode == events.ModeObserve:
		b.WriteString(nextObserve)
	default:
		b.WriteString(nextNobody)
	}
	return b.String()
}

// What comes next, as the last sentence of a divergence's message.
const (
	nextHeal    = " It is being put back."
	nextObserve = " The application is only observed (converge.mode): change the cluster or Git."
	nextNobody  = " Nothing puts it back (audit.heal is off): change the cluster or Git."
)

// over is the message of a divergence that is over: what was to come next is
// said no more.
func over(message string) string {
	for _, next := range []string{nextHeal, nextObserve, nextNobody} {
		message = strings.TrimSuffix(message, next)
	}
	return message
}

func what(d events.Divergence) string {
	switch d.Kind {
	case events.DivergenceDeleted:
		return "was deleted"
	case events.DivergenceMissing:
		return "is missing"
	}
	if len(d.Fields) == 0 {
		return "differs"
	}
	first := d.Fields[0]
	text := first.Path + " differs"
	switch {
	case d.Kind == events.DivergenceRemoved:
		text = first.Path + " is gone"
	case !first.Redacted && short(first.Live) && short(first.Desired):
		text = fmt.Sprintf("%s is %s where Git declares %s", first.Path, first.Live, first.Desired)
	}
	if d.FieldCount > 1 {
		text += fmt.Sprintf(", and %d more", d.FieldCount-1)
	}
	return text
}

func short(value string) bool { return value != "" && len(value) <= 64 }

// clock is " at <time>"; nothing where the API server recorded no time, as for
// the scale subresource.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " at " + t.UTC().Format("2006-01-02 15:04:05Z")
}

func writerName(w events.Writer) string {
	name := fmt.Sprintf("%s (%s", w.Manager, w.Operation)
	if w.Subresource != "" {
		name += ", subresource " + w.Subresource
	}
	return name + ")"
}

// stall says that a revision has not converged in time.
func (app *application) stall(key string, stage Stage, p Progress, now time.Time) events.Divergence {
	revision, _, _, _ := app.view.revision()
	d := events.Divergence{Key: key, Kind: events.DivergenceStalled, Since: now, Revision: revision}
	if app.manifests != nil {
		d.Digest = app.manifests.Digest
	}
	next := map[Stage]string{
		StageRender: "Look at the renderer: is it running, and does it reach the bus?",
		StageApply:  "Look at the applier: is it running, and does it reach the bus and the API server?",
		StageHealth: "Look at the applier and at the objects that are not ready.",
	}[stage]
	d.Message = fmt.Sprintf("Commit %s was observed%s and is not %s after %s. %s", revision.Commit[:min(12, len(revision.Commit))], clock(p.Observed), stage, now.Sub(p.Observed).Round(time.Second), next)
	return d
}
