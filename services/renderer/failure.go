// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// failure is why a revision can't be rendered. It is an outcome, not an error
// of the renderer; Message holds no value of any file.
type failure struct {
	Reason  events.Reason  `json:"reason"`
	Message string         `json:"message"`
	File    string         `json:"file,omitempty"`
	Line    int            `json:"line,omitempty"`
	Object  *events.Object `json:"object,omitempty"`
}

func (f *failure) Error() string {
	if f.File == "" {
		return fmt.Sprintf("%s: %s", f.Reason, f.Message)
	}
	return fmt.Sprintf("%s: %s:%d: %s", f.Reason, f.File, f.Line, f.Message)
}

// lasting reports whether the same tree fails the same way again: it does
// not where a limit of time or memory, or a crash, ended the render.
func (f *failure) lasting() bool {
	switch f.Reason {
	case events.ReasonTimeout, events.ReasonMemory, events.ReasonCrashed:
		return false
	}
	return true
}

// fail makes a failure at a file and line; line 0 means the whole file.
func fail(reason events.Reason, file string, line int, format string, args ...any) *failure {
	return &failure{Reason: reason, Message: fmt.Sprintf(format, args...), File: file, Line: line}
}

// failureOf makes a failure of an error of package manifest.
func failureOf(err error) (*failure, bool) {
	var f *failure
	if errors.As(err, &f) {
		return f, true
	}
	var e *manifest.Error
	if errors.As(err, &e) {
		return &failure{Reason: e.Reason, Message: e.Message, File: e.File, Line: e.Line, Object: e.Object}, true
	}
	return nil, false
}

// Limits of the texts of a failure, so that the event stays small whatever
// Git holds.
const (
	maxMessage = 2048
	maxFile    = 1024
)

// bounded is f with texts that an event can carry.
func (f failure) bounded() failure {
	f.Message, f.File = printable(f.Message, maxMessage), printable(f.File, maxFile)
	return f
}

// printable cuts a text and takes control characters out of it.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
