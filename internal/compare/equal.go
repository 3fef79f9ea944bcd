// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"encoding/json"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// equal compares two scalars as Kubernetes means them: numbers by value, and
// quantities too, in the fields that hold them (1000m is 1, 0.5 is 500m).
// Two composite values are equal if they are the same.
func equal(pointer string, want, have any) bool {
	if a, ok := number(want); ok {
		if b, ok := number(have); ok {
			return a == b
		}
	}
	if reflect.DeepEqual(want, have) {
		return true
	}
	return holdsQuantity(pointer) && sameQuantity(want, have)
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case int32:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	}
	return 0, false
}

// quantityFields are the fields of the built-in kinds whose values, or the
// values below them, are quantities. A field of the same name in a custom
// resource is taken for one too; nowhere else are "1" and "1000m" the same.
var quantityFields = map[string]bool{
	"limits": true, "requests": true, "capacity": true, "allocatable": true, "hard": true, "overhead": true,
	"sizeLimit": true, "divisor": true, "averageValue": true, "maxLimitRequestRatio": true,
	"defaultRequest": true, "min": true, "max": true, "default": true, "podFixed": true,
}

func holdsQuantity(pointer string) bool {
	if strings.HasPrefix(pointer, "/data/") || strings.HasPrefix(pointer, "/metadata/") {
		return false
	}
	for token := range strings.SplitSeq(pointer, "/") {
		if quantityFields[token] {
			return true
		}
	}
	return strings.HasSuffix(pointer, "/target/value")
}

func sameQuantity(want, have any) bool {
	a, ok := quantity(want)
	if !ok {
		return false
	}
	b, ok := quantity(have)
	return ok && a.Cmp(b) == 0
}

func quantity(v any) (resource.Quantity, bool) {
	text, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		if _, isNumber := number(v); err != nil || !isNumber {
			return resource.Quantity{}, false
		}
		text = string(b)
	}
	q, err := resource.ParseQuantity(text)
	return q, err == nil
}

// zero reports whether v is what the API server leaves out.
func zero(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case map[string]any:
		for _, inner := range v {
			if !zero(inner) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	}
	n, ok := number(v)
	return ok && n == 0
}
