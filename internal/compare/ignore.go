// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

// Ignored reports whether a rule takes the field at a JSON pointer out of the
// audit: the field itself and everything below it. A rule with an empty path
// would hide whole objects and takes nothing out.
func Ignored(rules []events.IgnoreRule, o events.Object, pointer string) bool {
	return slices.ContainsFunc(rules, func(r events.IgnoreRule) bool {
		if r.Kind != o.Kind || r.Path == "" || r.Group != "" && r.Group != o.Group || r.Name != "" && r.Name != o.Name {
			return false
		}
		return pointer == r.Path || strings.HasPrefix(pointer, r.Path+"/")
	})
}

// Counted splits differences into those that count and the number of those
// that a rule takes out.
func Counted(rules []events.IgnoreRule, o events.Object, all []Difference) (count []Difference, left int) {
	for _, d := range all {
		if Ignored(rules, o, d.Path) {
			left++
			continue
		}
		count = append(count, d)
	}
	return count, left
}

// Whole reports whether our entry owns every field of the object that counts,
// so that a write to any of them would show in it.
func (c *Result) Whole(rules []events.IgnoreRule, o events.Object) bool {
	return !slices.ContainsFunc(c.Unowned, func(pointer string) bool { return !Ignored(rules, o, pointer) })
}
