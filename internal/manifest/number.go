// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// number makes of any number what Kubernetes makes of it: int64 where it is
// whole and fits, else float64. A float that is whole is an integer in JSON
// (encoding/json writes 1.0 as 1), so it is one here from the start.
func number(v any, line int) (any, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case int:
		return int64(v), nil
	case int64:
		return v, nil
	case uint64:
		return whole(float64(v)), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, syntax(line, "JSON, which Kubernetes speaks, has no infinity and no NaN")
		}
		return whole(v), nil
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, syntax(line, "a number here is too large")
		}
		return whole(f), nil
	default:
		return nil, syntax(line, "a value here is no number")
	}
}

func whole(f float64) any {
	s := formatFloat(f)
	if strings.ContainsAny(s, ".e") {
		return f
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i
	}
	return f
}

// formatFloat writes a float as encoding/json does (ES6 number to string).
func formatFloat(f float64) string {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.FormatFloat(f, format, -1, 64)
}
