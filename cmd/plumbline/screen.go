// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/internal/status"
)

// What drives the terminal (ECMA-48, and xterm's second screen).
const (
	screenOpen  = "\x1b[?1049h\x1b[?25l" // the second screen, no cursor
	screenClose = "\x1b[?25h\x1b[?1049l"
	screenHome  = "\x1b[H"
	lineEnd     = "\x1b[K\n" // what the line before held beyond is cleared
	screenEnd   = "\x1b[J"
)

// screen shows a table in place on a terminal.
type screen struct {
	out   io.Writer
	size  func() (columns, rows int, err error)
	paint paint
	all   []status.Status
	// refused counts what is refused in the fleet and holds no application.
	refused int
	missed  string // what is said of the bus while it is away
	drawn   string // what the terminal shows
}

func newScreen(out io.Writer, size func() (int, int, error)) *screen {
	return &screen{out: out, size: size, paint: painter(out)}
}

func (s *screen) show(how standing, now time.Time) error {
	s.all, s.refused = how.all, how.refused
	return s.draw(now)
}

func (s *screen) away(why error, now time.Time) error {
	s.missed = ""
	if why != nil {
		s.missed = fmt.Sprintf("%s: %s. This is what was known then.", now.Local().Format("15:04:05"), strings.TrimSuffix(why.Error(), "."))
	}
	return s.draw(now)
}

func (s *screen) pass(now time.Time) error { return s.draw(now) }

// draw writes the table over what the terminal shows, if that differs.
func (s *screen) draw(now time.Time) error {
	columns, rows, err := s.size()
	if err != nil || columns < 1 || rows < 4 {
		columns, rows = width, 24
	}
	lines := s.lines(columns, rows-1, now)
	lines = lines[:min(len(lines), rows-1)]
	text := strings.Join(lines, lineEnd) + lineEnd + screenEnd
	if text == s.drawn {
		return nil
	}
	head := screenHome
	if s.drawn == "" {
		head = screenOpen + screenHome
	}
	s.drawn = text
	_, err = io.WriteString(s.out, head+text)
	return err
}

// lines are at most rows lines of at most so many columns.
func (s *screen) lines(columns, rows int, now time.Time) []string {
	head := []string{fit(tally(s.all), columns)}
	if s.refused > 0 {
		head = append(head, s.paint.in(yellow, fit(count(s.refused, "declaration")+" refused in the fleet: plumbline status", columns)))
	}
	if s.missed != "" {
		head = append(head, s.paint.in(red, fit(printable(s.missed), columns)))
	}
	t := newStatusTable(s.all, min(columns, 160), s.paint)
	lines := append(head, "", t.head())
	for i, one := range s.all {
		if left := len(s.all) - i; len(lines) == rows-1 && left > 1 {
			return append(lines, s.paint.in(faint, fit("… "+tally(s.all[i:]), columns)))
		}
		lines = append(lines, t.row(one, now))
	}
	return lines
}

// close gives the terminal back and leaves what was shown last.
func (s *screen) close() {
	if s.drawn == "" {
		return
	}
	fmt.Fprint(s.out, screenClose)
	columns, _, err := s.size()
	if err != nil {
		columns = width
	}
	for _, line := range s.lines(columns, 1<<20, clock()) {
		fmt.Fprintln(s.out, line)
	}
}
