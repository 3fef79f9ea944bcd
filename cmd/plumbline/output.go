// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// width is how many columns a line of a table takes at most.
const width = 100

// format is what a command prints.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
)

func (f *format) flags(cmd *cobra.Command) {
	*f = formatTable
	cmd.Flags().VarP(f, "output", "o", "table or json")
	grouped(cmd, flagsOutput, "output")
	mustComplete(cmd, "output", string(formatTable), string(formatJSON))
}

// String, Set and Type make format a flag.
func (f *format) String() string { return string(*f) }

// Type is the name of the value in help.
func (f *format) Type() string { return "format" }

// Set takes what the user wrote.
func (f *format) Set(text string) error {
	switch format(text) {
	case formatTable, formatJSON:
		*f = format(text)
		return nil
	}
	return fmt.Errorf("want table or json")
}

// printJSON writes v as one line.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// paint colours words where w is a terminal that wants it.
type paint bool

func painter(w io.Writer) paint {
	return paint(os.Getenv("NO_COLOR") == "" && terminal(w))
}

// terminal reports whether w is a terminal that takes control sequences.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	faint  = "2"
)

func (p paint) in(colour, text string) string {
	if !p || colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// printable is text without what would drive a terminal: names and messages
// come from commits and clusters.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return '�'
		}
		return r
	}, text)
}

// fit cuts text to n columns.
func fit(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// middle shortens text to n columns in its middle: names that belong together
// differ in their ends.
func middle(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n || n < 3 {
		return fit(text, n)
	}
	tail := (n - 1) / 2
	return string(runes[:n-1-tail]) + "…" + string(runes[len(runes)-tail:])
}

// columns is how wide what is printed to w may be: the terminal's width,
// within reason.
func columns(w io.Writer) int {
	const least, most = 72, 160
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil {
			return min(max(n, least), most)
		}
	}
	return width
}

// pad fills text up to n columns.
func pad(text string, n int) string {
	return text + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(text)))
}

// wrap breaks text into lines of at most n columns, between words where it
// can.
func wrap(text string, n int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		for utf8.RuneCountInString(word) > n {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			runes := []rune(word)
			lines, word = append(lines, string(runes[:n])), string(runes[n:])
		}
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= n:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// age is a duration as people say it: 12s, 5m, 3h, 4d, 2y.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	if days := int(d.Hours() / 24); days < 2*365 {
		return fmt.Sprintf("%dd", days)
	}
	return fmt.Sprintf("%dy", int(d.Hours()/24/365))
}
