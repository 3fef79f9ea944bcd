// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Canonical writes a body as JSON in the one way there is: keys sorted by
// their bytes, no white space, no escape but what JSON demands (RFC 8259
// section 7), integers as integers. Equal bodies give equal bytes.
func Canonical(body map[string]any) ([]byte, error) {
	return appendValue(nil, body, 0)
}

func appendValue(out []byte, v any, depth int) ([]byte, error) {
	if depth > 2*MaxDepth {
		return nil, fmt.Errorf("nested deeper than %d", 2*MaxDepth)
	}
	switch v := v.(type) {
	case nil:
		return append(out, "null"...), nil
	case bool:
		return strconv.AppendBool(out, v), nil
	case string:
		return appendString(out, v), nil
	case int64:
		return strconv.AppendInt(out, v, 10), nil
	case int:
		return strconv.AppendInt(out, int64(v), 10), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("a number that JSON can't write")
		}
		if v == 0 {
			return append(out, '0'), nil // -0 is 0
		}
		return append(out, formatFloat(v)...), nil
	case []any:
		return appendArray(out, v, depth)
	case map[string]any:
		return appendObject(out, v, depth)
	default:
		return nil, fmt.Errorf("a value of type %T has no canonical form", v)
	}
}

func appendArray(out []byte, v []any, depth int) ([]byte, error) {
	out = append(out, '[')
	for i, item := range v {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendValue(out, item, depth+1); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

func appendObject(out []byte, v map[string]any, depth int) ([]byte, error) {
	out = append(out, '{')
	for i, key := range slices.Sorted(maps.Keys(v)) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(out, key), ':')
		var err error
		if out, err = appendValue(out, v[key], depth+1); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

const hexDigits = "0123456789abcdef"

func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	for _, r := range s { // invalid UTF-8 becomes U+FFFD, as encoding/json has it
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		case r < 0x20:
			out = append(out, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return append(out, '"')
}
