// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
)

// FieldError says which field of a Secret can't be sealed or opened, and
// never what it holds.
type FieldError struct {
	Field   string // data.password
	Message string
	Err     error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Message }
func (e *FieldError) Unwrap() error { return e.Err }

// IsSecret reports whether a body is a core/v1 Secret.
func IsSecret(body map[string]any) bool {
	return body["apiVersion"] == "v1" && body["kind"] == "Secret"
}

// SealSecret returns a copy of a Secret in which every value of data and
// stringData is sealed under data. Its error, a [*FieldError] where the
// Secret is at fault, holds no value.
func SealSecret(body map[string]any, to Recipient, key DigestKey) (map[string]any, error) {
	return mapValues(body, func(plain []byte) (string, error) { return Seal(plain, to, key) })
}

// BlindSecret is SealSecret without the ciphertexts: what digests are made
// of. It costs no encryption and needs no recipient.
func BlindSecret(body map[string]any, key DigestKey) (map[string]any, error) {
	return mapValues(body, func(plain []byte) (string, error) { return Prefix + key.Sum(plain), nil })
}

// OpenSecret is the inverse of [SealSecret]: it returns a copy with plaintext
// values under data, base64 as the API wants them. Only the process that
// writes the Secret to its cluster calls it.
func OpenSecret(body map[string]any, with Identity) (map[string]any, error) {
	out := maps.Clone(body)
	data, ok := body["data"].(map[string]any)
	if !ok {
		return out, nil
	}
	opened := make(map[string]any, len(data))
	for _, name := range slices.Sorted(maps.Keys(data)) {
		value, _ := data[name].(string)
		plain, err := Open(value, with)
		if err != nil {
			return nil, &FieldError{"data." + name, "can't be opened with this cluster's age identity", err}
		}
		opened[name] = base64.StdEncoding.EncodeToString(plain)
	}
	out["data"] = opened
	return out, nil
}

func mapValues(body map[string]any, f func([]byte) (string, error)) (map[string]any, error) {
	plain, err := values(body)
	if err != nil {
		return nil, err
	}
	out := maps.Clone(body)
	delete(out, "stringData")
	if plain == nil {
		return out, nil
	}
	data := make(map[string]any, len(plain))
	for name, value := range plain {
		text, err := f(value)
		if err != nil {
			return nil, &FieldError{"data." + name, "can't be sealed", err}
		}
		data[name] = text
	}
	out["data"] = data
	return out, nil
}

// values reads data and stringData into one map; nil means that neither is
// there. A null value is the empty one, as the API server takes it.
func values(body map[string]any) (map[string][]byte, error) {
	var out map[string][]byte
	for _, part := range []string{"data", "stringData"} {
		raw, ok := body[part]
		if !ok || raw == nil {
			continue
		}
		fields, ok := raw.(map[string]any)
		if !ok {
			return nil, &FieldError{Field: part, Message: "must be a mapping of names to strings"}
		}
		if out == nil {
			out = make(map[string][]byte, len(fields))
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			value, err := valueOf(part, fields[name])
			if err != nil {
				return nil, &FieldError{Field: part + "." + name, Message: err.Error()}
			}
			out[name] = value
		}
	}
	return out, nil
}

func valueOf(part string, raw any) ([]byte, error) {
	text, ok := raw.(string)
	if !ok && raw != nil {
		return nil, fmt.Errorf("must be a string; put it in quotes")
	}
	if part == "stringData" {
		return []byte(text), nil
	}
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("is no valid base64; encode it, or move it to stringData")
	}
	return plain, nil
}
