// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"fmt"

	"github.com/plumbline-dev/plumbline/events"
)

// MaxObjects is how many objects a bundle may hold.
const MaxObjects = 50_000

// Bundle is the objects of one application at one revision, in the order of
// application.
type Bundle struct {
	Namespace string // for namespaced objects that name none
	Objects   []Object
}

// format names the encoding of a bundle.
const format = "plumbline.dev/bundle/v1"

// Digest is the bundle digest: over namespace and each object's key and
// digest, in order; not over file, line and since. Objects must have their
// digests.
func (b Bundle) Digest() string {
	objects := make([]any, 0, len(b.Objects))
	for _, o := range b.Objects {
		objects = append(objects, []any{o.Key(), o.Digest})
	}
	data, err := Canonical(map[string]any{"format": format, "namespace": b.Namespace, "objects": objects})
	if err != nil {
		panic(err) // texts only
	}
	return sum(data)
}

// Encode writes a bundle in its canonical form. The same objects give the
// same bytes, but for the ciphertexts of sealed values. Objects must be
// sorted and have their digests.
func Encode(b Bundle) ([]byte, error) {
	objects := make([]any, 0, len(b.Objects))
	for _, o := range b.Objects {
		objects = append(objects, map[string]any{"digest": o.Digest, "body": o.Body})
	}
	data, err := Canonical(map[string]any{"format": format, "namespace": b.Namespace, "digest": b.Digest(), "objects": objects})
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	return data, nil
}

// Decode is the inverse of [Encode]. Nothing is taken on trust: each object
// digest and the bundle digest are computed again, the order is checked, and
// bytes that Encode would not have written are refused. Its error wraps
// [ErrBundle] and holds nothing of the content.
func Decode(data []byte) (Bundle, error) {
	b, digest, err := decodeBundle(data)
	if err != nil {
		return Bundle{}, fmt.Errorf("decode bundle: %w: %w", ErrBundle, err)
	}
	if got := b.Digest(); got != digest {
		return Bundle{}, fmt.Errorf("decode bundle: %w: its digest is %s, it claims %q", ErrBundle, got, digest)
	}
	again, err := Encode(b)
	if err != nil || !bytes.Equal(again, data) {
		return Bundle{}, fmt.Errorf("decode bundle: %w: not in canonical form", ErrBundle)
	}
	return b, nil
}

func decodeBundle(data []byte) (Bundle, string, error) {
	body, err := DecodeBody(data)
	if err != nil {
		return Bundle{}, "", err
	}
	if body["format"] != format {
		return Bundle{}, "", fmt.Errorf("its format is not %s", format)
	}
	namespace, ok := body["namespace"].(string)
	digest, ok2 := body["digest"].(string)
	items, ok3 := body["objects"].([]any)
	if !ok || !ok2 || !ok3 || len(body) != 4 {
		return Bundle{}, "", fmt.Errorf("namespace, digest or objects is missing")
	}
	if len(items) > MaxObjects {
		return Bundle{}, "", fmt.Errorf("%d objects; at most %d are read", len(items), MaxObjects)
	}
	b := Bundle{Namespace: namespace, Objects: make([]Object, 0, len(items))}
	for i, item := range items {
		o, err := decodeObject(item)
		if err != nil {
			return Bundle{}, "", fmt.Errorf("object %d: %w", i, err)
		}
		if i > 0 && Compare(b.Objects[i-1].Object, o.Object) >= 0 {
			return Bundle{}, "", fmt.Errorf("object %d is out of order", i)
		}
		b.Objects = append(b.Objects, o)
	}
	if _, _, twice := Duplicate(b); twice {
		return Bundle{}, "", fmt.Errorf("an object is there twice")
	}
	return b, digest, nil
}

func decodeObject(item any) (Object, error) {
	fields, _ := item.(map[string]any)
	claimed, ok := fields["digest"].(string)
	body, ok2 := fields["body"].(map[string]any)
	if !ok || !ok2 || len(fields) != 2 {
		return Object{}, fmt.Errorf("digest or body is missing")
	}
	id, err := Identify(body)
	if err != nil {
		return Object{}, err
	}
	digest, err := digestOf(body)
	if err != nil {
		return Object{}, err
	}
	if digest != claimed {
		return Object{}, fmt.Errorf("its digest is %s, it claims %q", digest, claimed)
	}
	return Object{Object: id, Digest: digest, Body: body}, nil
}

// Duplicate returns the first two objects of a bundle that are one object in
// the cluster: same group, kind and name, and the same namespace once the
// default is filled in.
func Duplicate(b Bundle) (first, second Object, found bool) {
	seen := make(map[string]Object, len(b.Objects))
	for _, o := range b.Objects {
		id := o.Object
		if id.Namespace == "" {
			id.Namespace = b.Namespace
		}
		if was, ok := seen[id.Key()]; ok {
			return was, o, true
		}
		seen[id.Key()] = o
	}
	return Object{}, Object{}, false
}

// DecodeBody reads one object from JSON as Kubernetes does: int64 where a
// number is whole and fits, else float64. Limits of a file don't hold; who
// calls it has capped the size.
func DecodeBody(data []byte) (map[string]any, error) {
	r := newJSONReader(data)
	r.limit = 1 << 30
	token, line, err := r.next()
	if err != nil {
		return nil, err
	}
	v, err := r.value(token, line, -10, "")
	if err != nil {
		return nil, err
	}
	body, ok := v.(map[string]any)
	if !ok || len(bytes.TrimSpace(data[r.decoder.InputOffset():])) > 0 {
		return nil, syntax(line, "not one JSON object")
	}
	return body, nil
}

// Declared lists a bundle's objects as events do.
func (b Bundle) Declared() []events.DeclaredObject {
	out := make([]events.DeclaredObject, 0, len(b.Objects))
	for _, o := range b.Objects {
		out = append(out, o.Declared())
	}
	return out
}
