// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/timeline"
)

// mostAfterwards is how many of what came afterwards are printed; a fight over
// a field makes very many.
const mostAfterwards = 10

// happening is one thing that came after a revision had ended.
type happening struct {
	when                     time.Time
	colour, what, text, more string
}

// afterwards prints what became of a revision after it had ended: what
// diverged from it, and health that was lost.
func (f *waterfall) afterwards() {
	var all []happening
	for _, d := range f.Divergences {
		all = append(all, f.diverged(d))
	}
	for _, s := range f.Later {
		all = append(all, afterwardsOf(s))
	}
	if len(all) == 0 {
		return
	}
	slices.SortStableFunc(all, func(a, b happening) int { return a.when.Compare(b.when) })
	fmt.Fprintln(f.out, "\n  "+f.paint.in(faint, "AFTERWARDS"))
	if left := len(all) - mostAfterwards; left > 0 {
		fmt.Fprintf(f.out, "  … %d before: plumbline trace -o json has all of them\n", left)
		all = all[left:]
	}
	for _, h := range all {
		const what = 11
		stamp := h.when.Local().Format("15:04:05")
		if y, m, d := h.when.Local().Date(); !sameDay(f.Observed.Local(), y, m, d) {
			stamp = h.when.Local().Format("2006-01-02 15:04:05")
		}
		indent := 2 + len(stamp) + 2 + what
		for i, line := range wrap(printable(h.text), f.width-indent) {
			head := strings.Repeat(" ", indent)
			if i == 0 {
				head = "  " + f.paint.in(faint, stamp) + "  " + f.paint.in(h.colour, pad(h.what, what))
			}
			fmt.Fprintln(f.out, head+line)
		}
		for _, line := range wrap(printable(h.more), f.width-indent) {
			if line != "" {
				fmt.Fprintln(f.out, strings.Repeat(" ", indent)+line)
			}
		}
	}
}

func sameDay(t time.Time, y int, m time.Month, d int) bool {
	year, month, day := t.Date()
	return year == y && month == m && day == d
}

// diverged says what differed, who did it, and how it was put right.
func (f *waterfall) diverged(d timeline.Divergence) happening {
	h := happening{when: d.Since, colour: red, what: string(d.Kind), text: strings.TrimPrefix(divergence(d.Said), d.Object+" "+string(d.Kind)+": ")}
	if d.Object != "" && !strings.Contains(h.text, d.Object) {
		h.text = d.Object + ": " + h.text
	}
	switch {
	case d.Resolved.IsZero():
		h.more = "open for " + age(d.Lasted(f.now))
	case d.How == "healed":
		h.colour, h.more = yellow, "healed after "+brief(*d.After)
	default:
		h.colour, h.more = yellow, fmt.Sprintf("gone after %s: %s", brief(*d.After), d.How)
	}
	for _, s := range d.Heals {
		took := brief(events.Duration(max(0, s.End.Sub(s.Start))))
		if s.Failed {
			h.more += fmt.Sprintf("; the heal failed after %s: %s (%s)", took, s.Message, s.Reason)
		} else if s.Work.Counts != nil {
			h.more += fmt.Sprintf("; applied in %s: %s, %s", took, changes(*s.Work.Counts), count(s.Work.Requests, "request"))
		}
	}
	return h
}

// changes are counts without what was left as it was.
func changes(c events.Counts) string {
	if c != (events.Counts{Unchanged: c.Unchanged}) {
		c.Unchanged = 0
	}
	return counts(c)
}

func afterwardsOf(s timeline.Stage) happening {
	h := happening{when: s.Start, colour: green, what: string(s.Name), text: "healthy again"}
	switch {
	case s.Failed:
		h.colour, h.text = red, fmt.Sprintf("%s (%s)", s.Message, s.Reason)
	case s.Name == timeline.Hold:
		h.colour, h.text = yellow, fmt.Sprintf("%s (%s)", s.Message, s.Reason)
	case s.Name == timeline.Apply:
		h.colour, h.text = "", s.Message+": "+count(s.Work.Requests, "request")
		if s.Work.Counts != nil {
			h.text += ", " + changes(*s.Work.Counts)
		}
	}
	return h
}
