// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// teller prints the story.
type teller struct {
	out    io.Writer
	colour bool
	start  time.Time
	step   int
}

func newTeller(out *os.File) *teller {
	colour := term.IsTerminal(int(out.Fd())) && os.Getenv("NO_COLOR") == ""
	return &teller{out: out, colour: colour, start: time.Now()}
}

const (
	bold  = "1"
	green = "32"
	red   = "31"
	dim   = "2"
)

func (t *teller) paint(code, text string) string {
	if !t.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// begin announces a step.
func (t *teller) begin(title string) {
	t.step++
	fmt.Fprintf(t.out, "\n%s\n", t.paint(bold, fmt.Sprintf("%d. %s", t.step, title)))
}

// say prints a line of a step.
func (t *teller) say(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		fmt.Fprintf(t.out, "   %s\n", strings.TrimRight(line, "\n"))
	}
}

// proved prints what a step has shown, and how long it took.
func (t *teller) proved(took time.Duration, format string, args ...any) {
	fmt.Fprintf(t.out, "   %s %s %s\n", t.paint(green, "✓"), fmt.Sprintf(format, args...), t.paint(dim, "("+round(took)+")"))
}

// failed prints why the story ends here.
func (t *teller) failed(err error) {
	fmt.Fprintf(t.out, "   %s %v\n", t.paint(red, "✗"), err)
}

func round(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
