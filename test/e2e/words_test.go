// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/test/rig"
)

type seen = rig.Seen

var configMapsResource = rig.ConfigMaps

// sameBut compares lists of name@version and leaves one name out.
func sameBut(a, b, name string) bool {
	return slices.Equal(fieldsBut(a, name), fieldsBut(b, name))
}

func withoutItem0(list string) string { return strings.Join(fieldsBut(list, "item-0"), " ") }

func fieldsBut(list, name string) []string {
	return slices.DeleteFunc(strings.Fields(list), func(f string) bool { return strings.HasPrefix(f, name+"@") })
}
