// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

// Short is a commit or digest as people read it: twelve hex digits.
func Short(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	if len(id) > 12 {
		return id[:12]
	}
	return id
}

// failure is what went wrong, and with which object first.
func failure(p *events.ConvergenceFailed) string {
	if len(p.Failures) == 0 {
		return p.Message
	}
	first := p.Failures[0]
	text := fmt.Sprintf("%s (%s%s: %s)", p.Message, at(first.File, first.Line), first.Object, first.Message)
	if strings.Contains(p.Message, first.Message) {
		text = at(first.File, first.Line) + p.Message
	}
	return text
}

// failureOf is the words of a failed render or convergence.
func failureOf(e events.Event) string {
	switch p := e.Data.(type) {
	case *events.RenderFailed:
		return at(p.File, p.Line) + p.Message
	case *events.ConvergenceFailed:
		return failure(p)
	}
	return ""
}

func problem(p *events.FleetRejected) string {
	if len(p.Problems) == 0 {
		return p.File
	}
	first := p.Problems[0]
	text := at(p.File, first.Line)
	if first.Field != "" {
		text += first.Field + ": "
	}
	text += first.Message
	if more := len(p.Problems) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

// at is "file:line: ", as far as it is known.
func at(file string, line int) string {
	switch {
	case file == "":
		return ""
	case line == 0:
		return file + ": "
	}
	return fmt.Sprintf("%s:%d: ", file, line)
}

// traceID is the second field of a W3C traceparent, or "".
func traceID(traceparent string) string {
	fields := strings.Split(traceparent, "-")
	if len(fields) < 4 {
		return ""
	}
	return fields[1]
}

func or(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}

func sortedKeys(m map[string]events.Event) []string { return slices.Sorted(maps.Keys(m)) }
