// SPDX-License-Identifier: Apache-2.0

package process

import "runtime/debug"

// version is set by the linker for a release.
var version string

// Version is the release, or the commit that the binary was built from, or
// "devel".
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
