// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/plumbline-dev/plumbline/internal/status"
)

func (d *differences) print(w io.Writer, out format) error {
	if out == formatJSON {
		return printJSON(w, d)
	}
	colours := painter(w)
	counts := map[objectState]int{}
	for _, o := range d.Objects {
		counts[o.State]++
		o.print(w, colours)
	}
	fmt.Fprintf(w, "%s on %s at %s: %s\n", printable(d.Application), printable(d.Cluster), status.Short(d.Commit), d.tally(counts))
	if counts[stateCreate] == len(d.Objects) && len(d.Objects) > 1 {
		fmt.Fprintf(w, "Nothing of it is there: is %s really cluster %s?\n", d.Server, printable(d.Cluster))
	}
	if d.Observe {
		fmt.Fprintln(w, "The application is only observed (converge.mode): nothing puts it right.")
	}
	return nil
}

// tally counts the objects by state, leaving out what there is none of.
func (d *differences) tally(counts map[objectState]int) string {
	if counts[stateSame] == len(d.Objects) {
		return fmt.Sprintf("%s, live equals Git", count(len(d.Objects), "object"))
	}
	var parts []string
	for _, s := range []struct {
		state objectState
		said  string
	}{
		{stateChanged, "changed"},
		{stateCreate, "to be created"},
		{statePrune, "to be pruned"},
		{stateHeld, "held"},
		{statePassed, "to be passed on"},
		{stateLeft, "left alone"},
		{stateUnknown, "not compared"},
		{stateSame, "as in Git"},
	} {
		if n := counts[s.state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s.said))
		}
	}
	return strings.Join(parts, ", ")
}

// heads say of an object in a line how it stands.
var heads = map[objectState]struct{ sign, said, colour string }{
	stateChanged: {"~", "differs", yellow},
	stateCreate:  {"+", "is to be created", green},
	statePrune:   {"-", "is to be pruned", red},
	stateHeld:    {"-", "would be pruned, and is held", yellow},
	statePassed:  {">", "is no longer this application's", ""},
	stateLeft:    {"=", "is left alone", faint},
	stateUnknown: {"?", "is not compared", red},
	stateSame:    {"=", "is as in Git", faint},
}

func (o objectDifference) print(w io.Writer, colours paint) {
	ignored := 0
	for _, f := range o.Fields {
		if f.Ignored {
			ignored++
		}
	}
	if o.State == stateSame && ignored == 0 && o.Message == "" {
		return
	}
	h := heads[o.State]
	head := fmt.Sprintf("%s %s %s", h.sign, o.Object, h.said)
	if o.Message != "" {
		head += ": " + o.Message
	}
	for i, line := range wrap(printable(head), width-2) {
		if i > 0 {
			line = "  " + line
		}
		fmt.Fprintln(w, colours.in(h.colour, line))
	}
	for line := range strings.Lines(o.Diff) {
		line = strings.TrimSuffix(line, "\n")
		fmt.Fprintln(w, colours.in(colourOfLine(line), printableLine(line)))
	}
	for _, f := range o.Fields {
		if f.Ignored {
			for i, line := range wrap(printable("ignored (audit.ignore): "+field(f.FieldDifference)), width-4) {
				fmt.Fprintln(w, colours.in(faint, map[bool]string{true: "# ", false: "#   "}[i == 0]+line))
			}
		}
	}
	fmt.Fprintln(w)
}

func colourOfLine(line string) string {
	switch {
	case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"):
		return faint
	case strings.HasPrefix(line, "+"):
		return green
	case strings.HasPrefix(line, "-"):
		return red
	case strings.HasPrefix(line, "@@"):
		return cyan
	}
	return ""
}

// printableLine is printable, its indentation kept.
func printableLine(line string) string {
	body := strings.TrimLeft(line, " ")
	return line[:len(line)-len(body)] + printable(body)
}
