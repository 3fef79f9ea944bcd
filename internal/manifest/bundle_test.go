// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

func bundle(t testing.TB, data string) manifest.Bundle {
	t.Helper()
	objects, err := manifest.Parse("a.yaml", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	for i := range objects {
		objects[i].Digest = manifest.Digest(objects[i].Body)
	}
	manifest.Sort(objects)
	return manifest.Bundle{Namespace: "shop", Objects: objects}
}

const several = `
apiVersion: shop.example/v1
kind: Till
metadata: {name: one}
spec: {n: 1, f: 1.5, s: "<&>\u2028\u0001\"", big: 18446744073709551615, list: [null, true]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: hook}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: kn}
---
apiVersion: v1
kind: Service
metadata: {name: web}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tills.shop.example}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
`

func TestOrder(t *testing.T) {
	want := []string{
		"Namespace/shop", "CustomResourceDefinition.apiextensions.k8s.io/tills.shop.example", "ConfigMap/a", "ConfigMap/b",
		"Service/web", "Deployment.apps/web", "Service.serving.knative.dev/kn", "Till.shop.example/one",
		"ValidatingWebhookConfiguration.admissionregistration.k8s.io/hook",
	}
	b := bundle(t, several)
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		random.Shuffle(len(b.Objects), func(i, j int) { b.Objects[i], b.Objects[j] = b.Objects[j], b.Objects[i] })
		manifest.Sort(b.Objects)
		var got []string
		for _, o := range b.Objects {
			got = append(got, o.Object.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
}

func TestBundleRoundTrip(t *testing.T) {
	b := bundle(t, several)
	data, err := manifest.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := manifest.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, got, cmpopts.IgnoreFields(manifest.Object{}, "File", "Line", "Since")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Digest() != b.Digest() {
		t.Error("the digest changed")
	}
	if !json.Valid(data) {
		t.Error("not JSON")
	}
}

func TestBundleDigestCoversWhatCounts(t *testing.T) {
	b := bundle(t, several)
	was := b.Digest()
	b.Objects[0].File, b.Objects[0].Line, b.Objects[0].Since.Commit = "elsewhere.yaml", 99, "c"
	if b.Digest() != was {
		t.Error("moving an object to another file changes the digest")
	}
	for name, change := range map[string]func(*manifest.Bundle){
		"namespace": func(b *manifest.Bundle) { b.Namespace = "other" },
		"digest":    func(b *manifest.Bundle) { b.Objects[0].Digest = "sha256:0" },
		"name":      func(b *manifest.Bundle) { b.Objects[0].Name = "other" },
		"fewer":     func(b *manifest.Bundle) { b.Objects = b.Objects[1:] },
		"order":     func(b *manifest.Bundle) { b.Objects[0], b.Objects[1] = b.Objects[1], b.Objects[0] },
	} {
		c := bundle(t, several)
		change(&c)
		if c.Digest() == was {
			t.Errorf("the digest does not cover %s", name)
		}
	}
}

func TestDecodeRefusesDamage(t *testing.T) {
	b := bundle(t, several)
	data, err := manifest.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		for _, flip := range []byte{0x01, 0x20} {
			bad := bytes.Clone(data)
			bad[i] ^= flip
			if _, err := manifest.Decode(bad); !errors.Is(err, manifest.ErrBundle) {
				t.Fatalf("byte %d changed to %q: %v", i, bad[i], err)
			}
		}
		if _, err := manifest.Decode(data[:i]); !errors.Is(err, manifest.ErrBundle) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	swapped := bundle(t, several)
	swapped.Objects[2], swapped.Objects[3] = swapped.Objects[3], swapped.Objects[2]
	twice := bundle(t, several)
	twice.Objects = append(twice.Objects[:1:1], twice.Objects...)
	renamed := bundle(t, several)
	renamed.Objects[2].Body["data"] = map[string]any{"x": "y"}
	for name, b := range map[string]manifest.Bundle{"reordered": swapped, "twice": twice, "body changed": renamed} {
		data, err := manifest.Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := manifest.Decode(data); !errors.Is(err, manifest.ErrBundle) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, bad := range map[string]string{
		"white space": " " + string(data), "trailing": string(data) + "{}", "empty": "", "array": "[]",
		"field added":  strings.Replace(string(data), `{"digest"`, `{"a":1,"digest"`, 1),
		"other format": strings.Replace(string(data), "bundle/v1", "bundle/v2", 1),
	} {
		if _, err := manifest.Decode([]byte(bad)); !errors.Is(err, manifest.ErrBundle) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDuplicateFillsInTheNamespace(t *testing.T) {
	for data, want := range map[string]bool{
		several: false,
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\n":  true,
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: other}\n": false,
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\napiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: a}\n":  true,
	} {
		if _, _, got := manifest.Duplicate(bundle(t, data)); got != want {
			t.Errorf("%v for:\n%s", got, data)
		}
	}
}

func TestDigestOfASecretIgnoresItsCiphertext(t *testing.T) {
	_, to, err := seal.EnsureIdentity(filepath.Join(t.TempDir(), "identity"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := seal.NewSourceKey(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	key := source.DigestKey("local")
	digests := map[string]bool{}
	for _, doc := range []string{"data: {p: aHVudGVyMg==}", "stringData: {p: hunter2}", "stringData: {p: hunter2}"} {
		b := bundle(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"+doc+"\n")
		sealed, err := seal.SealSecret(b.Objects[0].Body, to, key)
		if err != nil {
			t.Fatal(err)
		}
		blind, err := seal.BlindSecret(b.Objects[0].Body, key)
		if err != nil {
			t.Fatal(err)
		}
		digests[manifest.Digest(sealed)], digests[manifest.Digest(blind)] = true, true
	}
	if len(digests) != 1 {
		t.Errorf("one value has %d digests", len(digests))
	}
	// Elsewhere such a text is a text like any other.
	config := func(v string) map[string]any {
		return map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a"}, "data": map[string]any{"p": v}}
	}
	value := seal.Prefix + strings.Repeat("0", 64)
	if manifest.Digest(config(value+":a")) == manifest.Digest(config(value+":b")) {
		t.Error("the digest of a ConfigMap leaves a part out")
	}
}

func TestCanonicalGolden(t *testing.T) {
	got, err := manifest.Canonical(map[string]any{
		"b": int64(1), "a": []any{nil, true, 1.5, 1e21, 1e-7, math.Copysign(0, -1), "é<>&\"\\\n\t\u007f\u2028"}, "": map[string]any{"z": int64(-9007199254740993)},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"":{"z":-9007199254740993},"a":[null,true,1.5,1e+21,1e-07,0,"é<>&\"\\\u000a\u0009` + "\u007f\u2028" + `"],"b":1}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, bad := range []any{int32(1), struct{}{}, func() {}} {
		if _, err := manifest.Canonical(map[string]any{"a": bad}); err == nil {
			t.Errorf("%T was taken", bad)
		}
	}
	if manifest.Digest(map[string]any{"a": struct{}{}}) != "" {
		t.Error("what has no canonical form has a digest")
	}
}

// FuzzDecode: bytes are the one encoding of a bundle, or no bundle.
func FuzzDecode(f *testing.F) {
	data, err := manifest.Encode(bundle(f, several))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := manifest.Decode(data)
		if err != nil {
			if !errors.Is(err, manifest.ErrBundle) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		again, err := manifest.Encode(b)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatal("two encodings of one bundle")
		}
	})
}
