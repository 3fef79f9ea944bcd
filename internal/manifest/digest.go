// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"

	"github.com/plumbline-dev/plumbline/internal/seal"
)

// Digest is the object digest of a body: "sha256:<hex>" over its canonical
// form, each sealed value of a Secret without its ciphertext. It is empty for
// a body that has no canonical form, which no parsed body is.
func Digest(body map[string]any) string {
	digest, err := digestOf(body)
	if err != nil {
		return ""
	}
	return digest
}

func digestOf(body map[string]any) (string, error) {
	data, err := Canonical(identifying(body))
	if err != nil {
		return "", fmt.Errorf("digest: %w", err)
	}
	return sum(data), nil
}

// identifying is a body without the ciphertexts of its sealed values.
func identifying(body map[string]any) map[string]any {
	if !seal.IsSecret(body) {
		return body
	}
	data, ok := body["data"].(map[string]any)
	if !ok {
		return body
	}
	plain := make(map[string]any, len(data))
	for name, v := range data {
		if text, ok := v.(string); ok {
			v = seal.Identifying(text)
		}
		plain[name] = v
	}
	out := maps.Clone(body)
	out["data"] = plain
	return out
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(s[:])
}
