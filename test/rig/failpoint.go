// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"slices"
	"strings"
)

// failpoints is the variable that internal/failpoint reads in a binary that was
// built with it.
const failpoints = "PLUMBLINE_FAILPOINTS="

// Arm has a process break by rules of internal/failpoint from its next start
// on; without rules it breaks no more. It takes binaries that were built with
// the tag failpoints; others don't look at it.
func (p *Process) Arm(rules ...string) {
	p.Env = slices.DeleteFunc(slices.Clone(p.Env), func(s string) bool { return strings.HasPrefix(s, failpoints) })
	if len(rules) > 0 {
		p.Env = append(p.Env, failpoints+strings.Join(rules, ","))
	}
}
