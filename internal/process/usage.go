// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
)

type usage struct{ err error }

func (u *usage) Error() string { return u.err.Error() }
func (u *usage) Unwrap() error { return u.err }

// Usage marks err as a wrong call: a flag that is missing, or whose value can't
// be. The process ends with [ExitUsage] then. A nil err stays nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &usage{err}
}

// Usagef is [Usage] of an error with that text.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// IsUsage reports whether err is a wrong call.
func IsUsage(err error) bool {
	var u *usage
	return errors.As(err, &u)
}
