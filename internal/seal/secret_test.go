// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/plumbline-dev/plumbline/internal/seal"
	"github.com/plumbline-dev/plumbline/test/seed"
)

func pair(t testing.TB) (seal.Identity, seal.Recipient) {
	t.Helper()
	id, to, err := seal.EnsureIdentity(filepath.Join(t.TempDir(), "identity"))
	if err != nil {
		t.Fatal(err)
	}
	return id, to
}

func secret(data, stringData map[string]any) map[string]any {
	s := map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "db"}}
	if data != nil {
		s["data"] = data
	}
	if stringData != nil {
		s["stringData"] = stringData
	}
	return s
}

func TestSecretRoundTrip(t *testing.T) {
	id, to := pair(t)
	key := sourceKey(t, 1).DigestKey("local")
	in := secret(map[string]any{"a": "Y2FuYXJ5", "b": "b2xk", "n": nil}, map[string]any{"b": "new", "c": "", "d": seal.Prefix + "x"})
	sealed, err := seal.SealSecret(in, to, key)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(sealed); strings.Contains(text, "canary") || strings.Contains(text, "Y2FuYXJ5") || strings.Contains(text, "new") {
		t.Errorf("plaintext shows: %s", text)
	}
	for name, v := range sealed["data"].(map[string]any) {
		if !seal.Sealed(v.(string)) {
			t.Errorf("data.%s is not sealed", name)
		}
	}
	opened, err := seal.OpenSecret(sealed, id)
	if err != nil {
		t.Fatal(err)
	}
	want := secret(map[string]any{"a": "Y2FuYXJ5", "b": "bmV3", "c": "", "d": "cGx1bWJsaW5lOnNlYWxlZDp2MTp4", "n": ""}, nil)
	if diff := cmp.Diff(want, opened); diff != "" {
		t.Errorf("opened (-want +got):\n%s", diff)
	}
	if _, has := in["data"].(map[string]any)["c"]; has || in["stringData"] == nil {
		t.Error("SealSecret changed its input")
	}
}

func TestSealedIdentityIsStable(t *testing.T) {
	_, to := pair(t)
	key := sourceKey(t, 1).DigestKey("local")
	plain := []byte("hunter2")
	a, err := seal.Seal(plain, to, key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := seal.Seal(plain, to, key)
	if err != nil {
		t.Fatal(err)
	}
	if a == b {
		t.Error("two ciphertexts are equal")
	}
	if seal.Identifying(a) != seal.Identifying(b) {
		t.Error("two HMACs of one value differ")
	}
	blind, err := seal.BlindSecret(secret(nil, map[string]any{"p": "hunter2"}), key)
	if err != nil || blind["data"].(map[string]any)["p"] != seal.Identifying(a) {
		t.Errorf("BlindSecret = %v, %v", blind, err)
	}
	if !seal.Matches(a, plain, key) || !seal.Matches(seal.Identifying(a), plain, key) {
		t.Error("a value does not match itself")
	}
	if seal.Matches(a, []byte("hunter3"), key) || seal.Matches(a, plain, sourceKey(t, 1).DigestKey("other")) || seal.Matches("hunter2", plain, key) || seal.Matches(a, plain, seal.DigestKey{}) {
		t.Error("another value, key or text matches")
	}
}

func TestOpenRefuses(t *testing.T) {
	id, to := pair(t)
	other, _ := pair(t)
	key := sourceKey(t, 1).DigestKey("local")
	sealed, err := seal.Seal([]byte("hunter2"), to, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() error{
		"another identity": func() error { _, err := seal.Open(sealed, other); return err },
		"no ciphertext":    func() error { _, err := seal.Open(seal.Identifying(sealed), id); return err },
		"plain text":       func() error { _, err := seal.Open("hunter2", id); return err },
		"cut":              func() error { _, err := seal.Open(sealed[:len(sealed)-8], id); return err },
		"a whole Secret": func() error {
			_, err := seal.OpenSecret(secret(map[string]any{"p": "hunter2"}, nil), id)
			return err
		},
	} {
		if err := open(); !errors.Is(err, seal.ErrValue) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFaultySecretsNameTheFieldOnly(t *testing.T) {
	_, to := pair(t)
	key := sourceKey(t, 1).DigestKey("local")
	for field, s := range map[string]map[string]any{
		"data.p":       secret(map[string]any{"p": "canary!"}, nil),
		"data.q":       secret(map[string]any{"q": int64(7)}, nil),
		"stringData.r": secret(nil, map[string]any{"r": true}),
		"data":         {"apiVersion": "v1", "kind": "Secret", "data": "canary!"},
	} {
		_, err := seal.SealSecret(s, to, key)
		var fe *seal.FieldError
		if !errors.As(err, &fe) || fe.Field != field || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := seal.SealSecret(secret(nil, map[string]any{"a": "x"}), seal.Recipient{}, key); err == nil {
		t.Error("sealed to nobody")
	}
	if _, err := seal.SealSecret(secret(nil, map[string]any{"a": "x"}), to, seal.DigestKey{}); err == nil {
		t.Error("sealed without a digest key")
	}
}

func TestParseRecipient(t *testing.T) {
	_, to := pair(t)
	got, err := seal.ParseRecipient(" " + to.String() + "\n")
	if err != nil || got.String() != to.String() {
		t.Errorf("ParseRecipient = %v, %v", got, err)
	}
	for _, bad := range []string{"", "age1", "ssh-ed25519 AAAA", to.String() + "\n" + to.String()} {
		if _, err := seal.ParseRecipient(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// FuzzOpen: nothing opens but what was sealed to this identity, and what
// identifies a value identifies itself.
func FuzzOpen(f *testing.F) {
	id, to := pair(f)
	key := sourceKey(f, 1).DigestKey("local")
	sealed, err := seal.Seal([]byte("hunter2"), to, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(seal.Prefix)
	f.Fuzz(func(t *testing.T, value string) {
		if _, err := seal.Open(value, id); err == nil && value != sealed {
			t.Errorf("opened %q", value)
		}
		if once := seal.Identifying(value); seal.Identifying(once) != once {
			t.Errorf("Identifying(%q) is not stable", value)
		}
	})
}

// FuzzSealSecret: a Secret of any shape is sealed or refused by the name of a
// field; what is sealed shows no value, and opens as what the API server would
// have made of it.
func FuzzSealSecret(f *testing.F) {
	id, to := pair(f)
	key := sourceKey(f, 1).DigestKey("local")
	f.Add([]byte(`{"apiVersion":"v1","kind":"Secret","data":{"p":"a2FuYXJpZW52b2dlbA=="},"stringData":{"q":"kanarienvogel"}}`))
	f.Add([]byte(`{"data":{"p":"kanarienvogel"},"stringData":[1]}`))
	f.Add([]byte(`{"data":{"p":null,"q":{"kanarienvogel":1}}}`))
	seed.Each(f, func(file seed.File) {
		for document := range bytes.SplitSeq(file.Data, []byte("\n---\n")) {
			// What is no YAML never comes here.
			if body, err := yaml.YAMLToJSON(document); err == nil {
				f.Add(bytes.ReplaceAll(body, []byte("canary"), []byte("kanarienvogel")))
			}
		}
	}, "manifests")
	f.Fuzz(func(t *testing.T, text []byte) {
		var body map[string]any
		if json.Unmarshal(text, &body) != nil {
			return
		}
		sealed, err := seal.SealSecret(body, to, key)
		if err != nil {
			var fe *seal.FieldError
			if !errors.As(err, &fe) || strings.Contains(fe.Message, "kanarienvogel") {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		blind, err := seal.BlindSecret(body, key)
		if err != nil {
			t.Fatalf("sealed, and has no digest: %v", err)
		}
		opened, err := seal.OpenSecret(sealed, id)
		if err != nil {
			t.Fatalf("sealed, and can't be opened: %v", err)
		}
		data, _ := sealed["data"].(map[string]any)
		plain, _ := opened["data"].(map[string]any)
		if _, left := sealed["stringData"]; left || len(plain) != len(data) {
			t.Fatalf("%d values sealed, %d opened", len(data), len(plain))
		}
		digests, _ := blind["data"].(map[string]any)
		for name, value := range data {
			if text, _ := value.(string); !seal.Sealed(text) || digests[name] != seal.Identifying(text) {
				t.Fatalf("data.%s is %v", name, value)
			}
		}
	})
}

// A recipient or an identity that stands for a plugin of age runs none,
// although one of its name is there to be found.
func TestAdvisoryC17NoPluginOfAgeIsRun(t *testing.T) {
	dir := t.TempDir()
	ran := filepath.Join(dir, "ran")
	script := "#!/bin/sh\ntouch " + ran + "\n"
	for _, name := range []string{"age-plugin-x", "age-plugin-yubikey", "age-plugin-..", "age"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil { //nolint:gosec // it has to be found
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	for _, text := range []string{
		"age1x1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqql4gpnf", "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t",
		"age1../x1qqqq", "age1x", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA",
	} {
		if _, err := seal.ParseRecipient(text); err == nil {
			t.Errorf("the recipient %q was taken", text)
		}
	}
	for _, text := range []string{"AGE-PLUGIN-X-1QQQQ", "AGE-PLUGIN-YUBIKEY-1QTFGYQVZ3Y2D5FQQMJXEU", "AGE-PLUGIN-..-1QQQQ"} {
		path := filepath.Join(dir, "identity")
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.LoadIdentity(path); err == nil {
			t.Errorf("the identity %q was taken", text)
		}
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("a plugin was run")
	}
}
