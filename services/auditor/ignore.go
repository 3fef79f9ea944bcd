// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

// ignored reports whether a rule takes the field at a JSON pointer out of the
// audit: the field itself and everything below it. A rule with an empty path
// would hide whole objects and takes nothing out.
func ignored(rules []events.IgnoreRule, o events.Object, pointer string) bool {
	return slices.ContainsFunc(rules, func(r events.IgnoreRule) bool {
		if r.Kind != o.Kind || r.Path == "" || r.Group != "" && r.Group != o.Group || r.Name != "" && r.Name != o.Name {
			return false
		}
		return pointer == r.Path || strings.HasPrefix(pointer, r.Path+"/")
	})
}

// counted splits differences into those that count and the number of those
// that a rule takes out.
func counted(rules []events.IgnoreRule, o events.Object, all []Difference) (count []Difference, left int) {
	for _, d := range all {
		if ignored(rules, o, d.Path) {
			left++
			continue
		}
		count = append(count, d)
	}
	return count, left
}

// whole reports whether our entry owns every field of the object that counts,
// so that a write to any of them would show in it.
func (c *Comparison) whole(rules []events.IgnoreRule, o events.Object) bool {
	return !slices.ContainsFunc(c.Unowned, func(pointer string) bool { return !ignored(rules, o, pointer) })
}
