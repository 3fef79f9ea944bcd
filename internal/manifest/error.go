// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"fmt"

	"github.com/plumbline-dev/plumbline/events"
)

// Error is a fault in what Git declares. Message is written for people and
// holds no value of the file.
type Error struct {
	Reason  events.Reason
	Message string
	File    string         // empty where it is not known
	Line    int            // 1-based; 0: not known
	Object  *events.Object // the object at fault, where it can be told
}

func (e *Error) Error() string {
	switch {
	case e.File == "":
		return e.Message
	case e.Line == 0:
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
}

// ErrBundle says that a bundle's bytes are not what was encoded: damaged,
// reordered, or not canonical.
var ErrBundle = errors.New("bundle is damaged")

func invalid(o *events.Object, format string, args ...any) *Error {
	return &Error{Reason: events.ReasonObjectInvalid, Message: fmt.Sprintf(format, args...), Object: o}
}

func syntax(line int, format string, args ...any) *Error {
	return &Error{Reason: events.ReasonSyntax, Message: fmt.Sprintf(format, args...), Line: line}
}

// at completes an error of this package with where it is.
func at(err error, file string, line int) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	e.File = file
	if e.Line == 0 {
		e.Line = line
	}
	return e
}
