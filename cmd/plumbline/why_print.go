// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/explain"
	"github.com/plumbline-dev/plumbline/internal/status"
)

func (a *answer) print(w io.Writer, out format) error {
	if out == formatJSON {
		return printJSON(w, a)
	}
	p := whyPrinter{details: details{w}, w: w, colours: painter(w), now: time.Now()}
	head := "declared by Git"
	if len(a.Declared) == 0 {
		head = p.colours.in(yellow, "not declared by Git")
	}
	fmt.Fprintf(w, "%s: %s\n", printable(a.Object.String()), head)
	for i, d := range a.Declared {
		if i > 0 {
			fmt.Fprintln(w)
		}
		p.declaration(d)
	}
	if a.Field != nil {
		p.field(*a.Field, a.Declared)
	}
	p.live(a)
	return nil
}

// whyPrinter prints an answer for people.
type whyPrinter struct {
	details
	w       io.Writer
	colours paint
	now     time.Time
}

func (p whyPrinter) declaration(d explain.Declaration) {
	p.line("app", fmt.Sprintf("%s on %s", d.Application, d.Cluster))
	p.line("declared", fmt.Sprintf("%s of %s, %s", strings.TrimSuffix(position(d.File, d.Line), ": "), or(d.URL, d.Repository), strings.TrimPrefix(d.Ref, "refs/heads/")))
	p.line("changed by", commitText(d.Changed))
	if d.Revision.Commit != d.Changed.Commit {
		p.line("newest", commitText(d.Revision)+": the object is as it was")
	}
	switch {
	case d.Applied != nil:
		p.line("applied", p.applied(*d.Applied, d.Digest))
	case d.Observe:
		p.line("applied", "never: the application is only observed (converge.mode)")
	default:
		p.line("applied", "the log tells of no write of it")
	}
	for _, open := range d.Divergences {
		p.line("diverged", p.divergence(open))
	}
	for _, over := range d.Healed {
		p.line(over.How, p.divergence(over))
	}
	if len(d.Divergences) == 0 {
		p.line("differs", "nothing, as far as the auditor has seen")
	}
}

func commitText(c explain.Commit) string {
	text := status.Short(c.Commit)
	if c.Title != "" {
		text += " “" + c.Title + "”"
	}
	return fmt.Sprintf("%s by %s, %s", text, or(c.Author, "nobody named"), stampText(c.When))
}

func (p whyPrinter) applied(a explain.Applied, digest string) string {
	why := map[string]string{
		"revision": "for commit " + status.Short(a.Commit), "heal": "to heal it", "resync": "in a resync", "approval": "after an approval",
	}[a.Cause]
	text := fmt.Sprintf("%s, %s %s by the applier", stampText(a.When), a.Action, or(why, a.Cause))
	if a.Digest != digest {
		text += "; what Git declares now was not applied yet"
	}
	return text
}

func (p whyPrinter) divergence(d explain.Divergence) string {
	var b strings.Builder
	if d.How == "" {
		fmt.Fprintf(&b, "%s, for %s", d.Kind, age(p.now.Sub(d.Since)))
	} else {
		fmt.Fprintf(&b, "%s, %s, after %s", d.Kind, stampText(d.Resolved), brief(d.After))
	}
	for i, f := range d.Fields {
		if i == 3 {
			break
		}
		b.WriteString(": " + field(f))
	}
	if more := max(d.FieldCount, len(d.Fields)) - min(3, len(d.Fields)); more > 0 && len(d.Fields) > 0 {
		fmt.Fprintf(&b, " (and %d more)", more)
	}
	switch {
	case d.Writer != nil:
		b.WriteString("; written by " + writerText(*d.Writer))
	case d.Kind != events.DivergenceChanged && d.Kind != events.DivergenceIntruded:
		b.WriteString("; nobody is on record for what is absent")
	}
	if d.How == "" {
		b.WriteString(map[bool]string{true: "; it is being put back", false: "; nothing puts it back: change the cluster or Git"}[d.Heal])
	}
	return b.String()
}

func (p whyPrinter) field(f explain.Field, declared []explain.Declaration) {
	fmt.Fprintf(p.w, "\n%s\n", printable(f.Pointer))
	switch {
	case len(declared) == 0:
		p.line("Git", "doesn't declare the object")
	case !f.Declared:
		p.line("Git", "doesn't declare this field: whoever sets it in the cluster decides")
	case f.Redacted:
		p.line("Git", "declares it, sealed: its value is not told")
	default:
		p.line("Git", valueText(f.Git))
	}
	if f.Ignored {
		p.line("audit", "ignored, by a rule of the application (audit.ignore)")
	}
	if f.Live != nil {
		p.liveField(f)
		return
	}
	for _, d := range f.Differs {
		p.line("live", field(d))
	}
	if len(f.Differs) > 0 && f.Writer != nil {
		p.line("written by", writerText(*f.Writer))
	}
}

func (p whyPrinter) liveField(f explain.Field) {
	text := valueText(f.Live.Value)
	switch {
	case !f.Live.Present:
		text = "absent"
	case f.Redacted:
		text = "there; its value is not told"
	}
	if f.Live.Differs {
		text += "  (differs)"
	}
	p.line("live", text)
	for _, m := range f.Live.Managers {
		p.line("owned by", writerText(m))
	}
	if len(f.Live.Managers) == 0 {
		p.line("owned by", "nobody: managedFields tell of no owner, as for defaults and for what is absent")
	}
}

// maxValue is how much of a value a person is shown; -o json has it whole.
const maxValue = 600

func valueText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return fit(string(text), maxValue)
}

func (p whyPrinter) live(a *answer) {
	fmt.Fprintln(p.w)
	if a.Live == nil {
		p.line("cluster", "not asked ("+a.Unasked+"): this is from the events alone. Give --kubeconfig to see what is there now")
		return
	}
	l := a.Live
	p.line("cluster", l.Server)
	if !l.Exists {
		fmt.Fprintf(p.w, "  %s%s\n", pad("there", 11), p.colours.in(red, "no"))
		return
	}
	p.line("there", "since "+stampText(l.Created))
	switch {
	case len(a.Declared) == 0 && l.Application != "":
		p.line("label", fmt.Sprintf("it carries the label of application %s: it waits to be pruned, or was left behind", l.Application))
	case len(a.Declared) == 0 && l.Creator != "":
		p.line("created by", l.Creator+", as far as managedFields tell: they know tools, not people")
	case len(a.Declared) == 0:
		p.line("created by", "not on record: no entry of managedFields is as old as the object")
	}
	for i, o := range l.Owners {
		name := map[bool]string{true: "belongs to", false: "and that to"}[i == 0]
		if i == len(l.Owners)-1 && l.Declares != "" {
			o += fmt.Sprintf(", which Git declares (application %s): plumbline why %s", l.Declares, o)
		}
		p.line(name, o)
	}
	for _, m := range l.Managers {
		p.line("written by", writerText(m))
	}
}
