// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"testing"
	"time"
)

// Seeds that prove nothing, or that prove something wrong, are an error.
func TestVerdict(t *testing.T) {
	violated := []Violation{{Invariant: "I1"}}
	for name, c := range map[string]struct {
		results []Result
		want    []error
	}{
		"none":                      {nil, nil},
		"all is well":               {[]Result{{Seed: 1}, {Seed: 2}}, nil},
		"violations":                {[]Result{{Seed: 1}, {Seed: 2, Violations: violated}}, []error{ErrViolated}},
		"one is not played":         {[]Result{{Seed: 1, Error: "no bus"}, {Seed: 2}}, []error{ErrUnfinished}},
		"one is not, and violated":  {[]Result{{Seed: 1, Error: "no bus", Violations: violated}}, []error{ErrUnfinished, ErrViolated}},
		"a fault misses once":       {[]Result{{Rounds: []RoundResult{{Fault: "git-down", Struck: true}}}, {Rounds: []RoundResult{{Fault: "git-down"}}}}, nil},
		"a fault never strikes":     {[]Result{{Rounds: []RoundResult{{Fault: "git-down"}}}, {Rounds: []RoundResult{{Fault: "git-slow", Struck: true}}}}, []error{ErrNotReached}},
		"others have to wait on it": {waits(20, 350*time.Millisecond, 5), []error{ErrNotApart}},
	} {
		err := Verdict(c.results)
		if (err == nil) != (len(c.want) == 0) {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range c.want {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
	}
}
