// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of a soak, see [Verdict].
var (
	ErrUnfinished = errors.New("seeds could not be played to the end")
	ErrViolated   = errors.New("violations were found")
	ErrNotApart   = errors.New("I7 is broken")
	ErrNotReached = errors.New("kinds of faults were begun and never struck")
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
	if kinds := unreached(results); len(kinds) > 0 {
		errs = append(errs, fmt.Errorf("%w: %s", ErrNotReached, strings.Join(kinds, ", ")))
	}
	return errors.Join(errs...)
}

// unreached are the kinds of faults that were begun and never met anything.
func unreached(results []Result) []string {
	lines, _ := fold(results)
	var names []string
	for _, l := range lines {
		if l.begun > 0 && l.runs == 0 {
			names = append(names, l.Name)
		}
	}
	return names
}

// Struck is how many faults have met something.
func (r Result) Struck() int {
	n := 0
	for _, round := range r.Rounds {
		if round.Struck {
			n++
		}
	}
	return n
}
