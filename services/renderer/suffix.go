// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/api/hasher"
	"sigs.k8s.io/kustomize/api/resource"

	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// suffixed is the name of a generated Secret if kustomize has put a hash of
// its content behind it, else empty. Names go where content may not: whoever
// reads one could try what the Secret holds.
func suffixed(r *resource.Resource) string {
	if r.GetKind() != "Secret" || r.GetApiVersion() != "v1" {
		return ""
	}
	name := r.GetName()
	i := strings.LastIndexByte(name, '-')
	if i <= 0 {
		return ""
	}
	before := r.DeepCopy()
	if before.SetName(name[:i]) != nil {
		return ""
	}
	if sum, err := before.Hash(&hasher.Hasher{}); err != nil || sum != name[i+1:] {
		return ""
	}
	return name
}

// suffixLength is that of kustomize's own suffixes.
const suffixLength = 10

// rename replaces the suffixes of generated Secrets, there and wherever the
// names are referred to, by ones that only who holds the digest key can
// compute: still another content has another name, so that what mounts it is
// rolled out.
func rename(objects []rendered, key seal.DigestKey) ([]rendered, error) {
	var pairs [][2][]byte
	for _, o := range objects {
		if o.Suffixed == "" {
			continue
		}
		name, err := keyedName(o, key)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, [2][]byte{[]byte(o.Suffixed), []byte(name)})
	}
	if len(pairs) == 0 {
		return objects, nil
	}
	out := make([]rendered, len(objects))
	for i, o := range objects {
		for _, p := range pairs {
			o.Body = bytes.ReplaceAll(o.Body, p[0], p[1])
		}
		out[i] = o
	}
	return out, nil
}

// keyedName covers what kustomize's suffix does: name, type and data.
func keyedName(o rendered, key seal.DigestKey) (string, error) {
	body, err := manifest.DecodeBody(o.Body)
	if err != nil {
		return "", fmt.Errorf("read what a render child made: %w", err)
	}
	id, err := manifest.Identify(body)
	i := strings.LastIndexByte(o.Suffixed, '-')
	if err != nil || !seal.IsSecret(body) || id.Name != o.Suffixed || i <= 0 {
		return "", fmt.Errorf("read what a render child made: %w", errFrame)
	}
	base := o.Suffixed[:i]
	blind, err := seal.BlindSecret(body, key)
	if err != nil {
		return base, nil //nolint:nilerr // the Secret is refused for it later on
	}
	text, err := json.Marshal([]any{base, blind["type"], blind["data"]})
	if err != nil {
		return "", fmt.Errorf("read what a render child made: %w", err)
	}
	return base + "-" + key.Sum(text)[:suffixLength], nil
}
