// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"maps"
	"slices"
	"strconv"
)

// Target is the live body with the declared value wherever one of differences
// says that it differs: what live comes to once they are put right. Values of
// Secrets are left alone. Neither body is changed; what does not differ is
// shared with live.
func Target(desired, live map[string]any, differences []Difference) map[string]any {
	var out any = live
	for _, d := range differences {
		if d.Redacted {
			continue
		}
		want, ok := At(desired, Tokens(d.Path))
		if !ok {
			continue
		}
		out = put(out, Tokens(d.Place), want)
	}
	body, _ := out.(map[string]any)
	return body
}

// put returns v with want at tokens. What is on the way is copied.
func put(v any, tokens []string, want any) any {
	if len(tokens) == 0 {
		return want
	}
	switch node := v.(type) {
	case map[string]any:
		clone := maps.Clone(node)
		clone[tokens[0]] = put(node[tokens[0]], tokens[1:], want)
		return clone
	case []any:
		if tokens[0] == "-" {
			return append(slices.Clone(node), put(nil, tokens[1:], want))
		}
		i, err := strconv.Atoi(tokens[0])
		if err != nil || i < 0 || i >= len(node) {
			return v
		}
		clone := slices.Clone(node)
		clone[i] = put(node[i], tokens[1:], want)
		return clone
	case nil:
		return map[string]any{tokens[0]: put(nil, tokens[1:], want)}
	}
	return v
}
