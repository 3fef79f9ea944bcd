// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/status"
	"github.com/plumbline-dev/plumbline/internal/timeline"
)

// printTraces prints the waterfall of one revision, or a line for each of
// several.
func printTraces(w io.Writer, out format, all []timeline.Revision, now time.Time) error {
	if out == formatJSON {
		for _, r := range all {
			if err := printJSON(w, r); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) > 1 && !oneApplication(all) {
		return printMany(w, all, now)
	}
	for i, r := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		f := waterfall{out: w, Revision: r, now: now, width: columns(w), paint: painter(w)}
		f.print()
	}
	return nil
}

func oneApplication(all []timeline.Revision) bool {
	for _, r := range all {
		if r.Application != all[0].Application {
			return false
		}
	}
	return true
}

// printMany prints what became of one commit in several applications.
func printMany(w io.Writer, all []timeline.Revision, now time.Time) error {
	paint := painter(w)
	fmt.Fprintf(w, "%s  %s\n\n", status.Short(all[0].Commit), fit(printable(all[0].Title), width-14))
	row := func(colour, app, cluster, outcome, took, text string) {
		line := pad(middle(printable(app), 28), 28) + "  " + pad(middle(printable(cluster), 14), 14) + "  " +
			paint.in(colour, pad(outcome, 11)) + "  " + pad(took, 7) + "  " + fit(printable(text), width-28-14-11-7-8)
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	row(faint, "APPLICATION", "CLUSTER", "OUTCOME", "TOOK", "")
	for _, r := range all {
		row(colourOfOutcome(r.Outcome), r.Application, r.Cluster, string(r.Outcome), tookOf(r, now), r.Message)
	}
	_, err := fmt.Fprintf(w, "\nThe stages of one: plumbline trace %s --app %s\n", status.Short(all[0].Commit), printable(all[0].Application))
	return err
}

// tookOf is how long a revision took, or has taken so far.
func tookOf(r timeline.Revision, now time.Time) string {
	switch {
	case r.Took != nil:
		return brief(*r.Took)
	case r.Partial, r.Outcome != timeline.InProgress && r.Outcome != timeline.Held:
		return "-"
	}
	return age(now.Sub(r.Observed)) + " …"
}

// waterfall prints one revision.
type waterfall struct {
	timeline.Revision
	out   io.Writer
	now   time.Time
	width int // columns of a line
	paint paint
}

// Columns of a stage's line before its bar, and the bar's share of the rest.
const (
	columnStage = 11
	columnWho   = 15
	columnTime  = 8
	columnsHead = 2 + columnStage + columnWho + 2*columnTime
)

func (f *waterfall) print() {
	f.head()
	fmt.Fprintln(f.out)
	end := f.lastEnd()
	f.line("", "STAGE", "WHO", "AT", "TOOK", f.scale(end), "")
	for _, s := range f.Stages {
		f.stage(s, end)
	}
	if f.Took != nil {
		start, stop := f.Observed, f.Observed.Add(f.Took.Std())
		f.line(colourOfOutcome(f.Outcome), "converge", "", f.at(start), brief(*f.Took), f.bar(start, stop, end, '▒'), string(f.Outcome))
	}
	f.afterwards()
}

func (f *waterfall) head() {
	text := string(f.Outcome)
	if f.Took != nil {
		text += map[bool]string{true: " after ", false: " in "}[f.Outcome == timeline.Failed || f.Outcome == timeline.Superseded] + brief(*f.Took)
	} else if f.Outcome == timeline.InProgress || f.Outcome == timeline.Held {
		text += " for " + age(f.now.Sub(f.Observed))
	}
	fmt.Fprintf(f.out, "%s on %s: %s\n", printable(f.Application), printable(f.Cluster), f.paint.in(colourOfOutcome(f.Outcome), text))
	d := details{f.out}
	d.line("commit", f.Commit+"  "+f.Title)
	by := "by " + or(f.Author, "nobody named")
	if f.Trigger != "" {
		by += ", seen by " + f.Trigger
	}
	if f.Cause == "declaration" {
		by += ", its declaration changed"
	}
	d.line("", by+", "+f.Observed.Local().Format("2006-01-02 15:04:05"))
	d.line("bundle", f.Digest)
	d.line("trace", f.TraceID)
	if f.By != "" {
		d.line("replaced", "by "+f.By)
	}
	if f.Reason == "" { // else a stage says it
		d.line("message", f.Message)
	}
	if f.Partial {
		d.line("note", "the log no longer keeps its beginning")
	}
}

// lastEnd is the end of the scale: of the last stage, or now where one is
// under way.
func (f *waterfall) lastEnd() time.Time {
	end := f.Observed
	for _, s := range f.Stages {
		if stop := f.stop(s); stop.After(end) {
			end = stop
		}
	}
	return end
}

func (f *waterfall) stop(s timeline.Stage) time.Time {
	if s.End.IsZero() {
		return f.now
	}
	return s.End
}

func (f *waterfall) stage(s timeline.Stage, end time.Time) {
	colour, mark := green, '█'
	took := brief(events.Duration(max(0, f.stop(s).Sub(s.Start))))
	switch {
	case s.Failed:
		colour = red
	case s.End.IsZero():
		colour, mark, took = yellow, '░', age(f.now.Sub(s.Start))+" …"
	case s.Name == timeline.Hold:
		colour, mark = yellow, '░'
	}
	f.line(colour, string(s.Name), s.Service, f.at(s.Start), took, f.bar(s.Start, f.stop(s), end, mark), f.done(s))
	for _, text := range f.wrong(s) {
		for i, line := range wrap(printable(text), f.width-8) {
			lead := "    ! "
			if i > 0 {
				lead = "      "
			}
			fmt.Fprintln(f.out, f.paint.in(colour, lead+line))
		}
	}
}

// line prints one line of the waterfall, and more where the text is long.
func (f *waterfall) line(colour, stage, who, at, took, bar, text string) {
	texts := wrap(printable(text), f.width-columnsHead-f.barWidth()-2)
	head := "  " + f.paint.in(colour, pad(stage, columnStage)) + pad(middle(printable(who), columnWho-2), columnWho) +
		pad(at, columnTime) + pad(took, columnTime)
	if texts[0] != "" {
		bar = bar + strings.Repeat(" ", max(0, f.barWidth()-len([]rune(bar)))) + "  "
	}
	fmt.Fprintln(f.out, strings.TrimRight(head+f.paint.in(colour, bar)+texts[0], " "))
	for _, more := range texts[1:] {
		fmt.Fprintln(f.out, strings.Repeat(" ", columnsHead+f.barWidth()+2)+more)
	}
}

func (f *waterfall) barWidth() int { return max(10, (f.width-columnsHead)*2/5) }

// scale is the head of the bars: from nothing to the whole time.
func (f *waterfall) scale(end time.Time) string {
	whole := brief(events.Duration(max(0, end.Sub(f.Observed))))
	return "0" + strings.Repeat(" ", max(1, f.barWidth()-1-len([]rune(whole)))) + whole
}

// bar is where a stage lies in the whole; it is never narrower than a column.
func (f *waterfall) bar(start, stop, end time.Time, mark rune) string {
	n := f.barWidth()
	whole := end.Sub(f.Observed)
	if whole <= 0 {
		return string(mark)
	}
	column := func(t time.Time) int {
		return int(float64(n)*float64(t.Sub(f.Observed))/float64(whole) + 0.5)
	}
	from := min(max(column(start), 0), n-1)
	to := min(max(column(stop), from+1), n)
	return strings.Repeat(" ", from) + strings.Repeat(string(mark), to-from)
}

func (f *waterfall) at(t time.Time) string {
	return brief(events.Duration(max(0, t.Sub(f.Observed))))
}

// done says how much a stage did.
func (f *waterfall) done(s timeline.Stage) string {
	var texts []string
	add := func(n int, what string) {
		if n > 0 {
			texts = append(texts, count(n, what))
		}
	}
	switch s.Name {
	case timeline.Observe:
		if s.Work.Bytes > 0 {
			texts = append(texts, bytesOf(s.Work.Bytes)+" of source")
		}
	case timeline.Render:
		add(s.Work.Objects, "object")
		add(s.Work.Paths, "path")
		if s.Work.Bytes > 0 {
			texts = append(texts, bytesOf(s.Work.Bytes))
		}
		if s.Work.Cached {
			texts = append(texts, "from the cache")
		}
	case timeline.Hold, timeline.Health:
	default:
		if s.Work.Counts != nil {
			texts = append(texts, counts(*s.Work.Counts))
		}
		add(s.Work.Requests, "request")
	}
	return strings.Join(texts, ", ")
}

// wrong says why a stage failed, or waits.
func (f *waterfall) wrong(s timeline.Stage) []string {
	if s.Message == "" || !s.Failed && s.Name != timeline.Hold {
		return nil
	}
	all := []string{fmt.Sprintf("%s (%s)", s.Message, s.Reason)}
	if len(s.Failures) == 1 && s.Failures[0].Message == s.Message && s.Failures[0].Object == "" {
		return []string{position(s.Failures[0].File, s.Failures[0].Line) + all[0]}
	}
	const most = 5
	for _, failure := range s.Failures[:min(most, len(s.Failures))] {
		text := position(failure.File, failure.Line) + failure.Object
		if failure.Message != s.Message {
			text = strings.TrimPrefix(text+": "+failure.Message, ": ")
		}
		all = append(all, text)
	}
	if more := len(s.Failures) - most; more > 0 {
		all = append(all, fmt.Sprintf("and %d more: plumbline trace %s -o json", more, status.Short(f.Commit)))
	}
	if s.Hold != "" && s.End.IsZero() {
		all = append(all, fmt.Sprintf("approve it: plumbline approve %s %s", f.Application, status.Short(s.Hold)))
	}
	return all
}

func colourOfOutcome(o timeline.Outcome) string {
	switch o {
	case timeline.Converged, timeline.Unchanged, timeline.Compared:
		return green
	case timeline.Failed:
		return red
	case timeline.Superseded, timeline.Unknown:
		return faint
	}
	return yellow
}

// bytesOf is a size as people read it.
func bytesOf(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1000/1000)
}
