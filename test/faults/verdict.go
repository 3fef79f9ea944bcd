// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
)

// Errors of a soak, see [Verdict].
var (
	ErrUnfinished = errors.New("seeds could not be played to the end")
	ErrViolated   = errors.New("violations were found")
	ErrNotApart   = errors.New("I7 is broken")
)

// Verdict says what is wrong with some seeds together; nil: nothing is. A seed
// that could not be played to the end has proved nothing, so it is wrong as
// well, whatever kept it.
func Verdict(results []Result) error {
	unfinished, violations := 0, 0
	for _, r := range results {
		if r.Error != "" {
			unfinished++
		}
		violations += len(r.Violations)
	}
	var errs []error
	if unfinished > 0 {
		errs = append(errs, fmt.Errorf("%w: %d of %d", ErrUnfinished, unfinished, len(results)))
	}
	if violations > 0 {
		errs = append(errs, fmt.Errorf("%w: %d", ErrViolated, violations))
	}
	if apart := Isolate(results); apart.Broken() {
		errs = append(errs, fmt.Errorf("%w: %s", ErrNotApart, apart))
	}
	return errors.Join(errs...)
}
