// SPDX-License-Identifier: Apache-2.0

package otlpserver

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// barWidth is how many characters the whole of a trace takes.
const barWidth = 40

// Waterfall writes a trace as text: a line for each span, below its parent, with
// the service, when it began, how long it took, and where that lies in the
// whole.
func Waterfall(w io.Writer, spans []Span) error {
	if len(spans) == 0 {
		return nil
	}
	d := drawing{children: map[string][]Span{}, from: spans[0].Start, to: spans[0].End}
	there := map[string]bool{}
	for _, s := range spans {
		there[s.ID] = true
		if s.Start.Before(d.from) {
			d.from = s.Start
		}
		if s.End.After(d.to) {
			d.to = s.End
		}
	}
	for _, s := range spans {
		parent := s.Parent
		if !there[parent] {
			parent = ""
		}
		d.children[parent] = append(d.children[parent], s)
	}
	for _, s := range d.children[""] {
		d.add(s, 0)
	}
	_, err := fmt.Fprintf(w, "trace %s  %s\n%s", spans[0].Trace, short(d.to.Sub(d.from)), d.lines())
	return err
}

type drawing struct {
	children map[string][]Span
	from, to time.Time
	rows     []row
}

type row struct {
	name, service, at, took, bar string
}

func (d *drawing) add(s Span, depth int) {
	name := strings.Repeat("  ", depth) + s.Name
	if object := s.Attributes["plumbline.object.name"]; object != "" {
		name += "/" + object
	}
	if s.Failed {
		name += " !"
	}
	d.rows = append(d.rows, row{name, strings.TrimPrefix(s.Service, "plumbline-"), short(s.Start.Sub(d.from)), short(s.End.Sub(s.Start)), d.bar(s)})
	below := slices.Clone(d.children[s.ID])
	slices.SortStableFunc(below, func(a, b Span) int { return a.Start.Compare(b.Start) })
	for _, child := range below {
		d.add(child, depth+1)
	}
}

// bar shows where a span lies in the whole.
func (d *drawing) bar(s Span) string {
	whole := max(d.to.Sub(d.from), 1)
	begin := int(s.Start.Sub(d.from) * barWidth / whole)
	end := int(s.End.Sub(d.from) * barWidth / whole)
	begin = min(begin, barWidth-1)
	end = max(begin+1, min(end, barWidth))
	return strings.Repeat("·", begin) + strings.Repeat("█", end-begin) + strings.Repeat("·", barWidth-end)
}

func (d *drawing) lines() string {
	width := 0
	for _, r := range d.rows {
		width = max(width, len([]rune(r.name)))
	}
	var b strings.Builder
	for _, r := range d.rows {
		fmt.Fprintf(&b, "  %-*s  %-8s  %8s %8s  %s\n", width, r.name, r.service, r.at, r.took, r.bar)
	}
	return b.String()
}

func short(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
