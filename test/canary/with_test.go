// SPDX-License-Identifier: Apache-2.0

package canary_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/test/canary"
)

// Secrets that somebody else made are seen through the same wrappings, be they
// texts with capitals and separators or bytes, and those of the set as before.
func TestFindsWhatOthersMade(t *testing.T) {
	texts := []string{
		"SUAGJZ6ZQPJXF7QFRR7Q6TVNBYEMHOX2KGWRVBQX5WJ3V6E2YJ4MGPZ2OY",
		"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0-Y-_.Zm9v_YmFy-YmF6cXV4",
		"canary-alias-name",
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	set, err := canary.New(seed, 10).With(append(slices.Clone(texts), string(key))...)
	if err != nil || set.Len() != 14 || set.Value(10) != texts[0] || set.Value(9) != canary.New(seed, 10).Value(9) {
		t.Fatalf("%v, %v", set, err)
	}
	for name, wrap := range wraps(t) {
		for i, text := range texts {
			if !finds(set, around(wrap([]byte(text))), 10+i) {
				t.Errorf("%s: %s is not found", name, text)
			}
		}
		if !finds(set, around(wrap([]byte(set.Value(4)))), 4) {
			t.Errorf("%s: the set's own is not found", name)
		}
		// What is for texts alone.
		if slices.Contains([]string{"capitals", "dashes", "lines", "JSON lines", "UTF-16", "JSON", "URL"}, name) {
			continue
		}
		if !finds(set, around(wrap(key)), 13) {
			t.Errorf("%s: the bytes %x are not found", name, key)
		}
	}
	if !finds(set, []byte("Canary: alias name"), 12) || !finds(set, []byte("the \"canary\nalias\tname\""), 12) {
		t.Error("what has other separators than the secret is not found")
	}
}

// The number that a private key is, is found in every file that holds the key.
func TestFindsAPrivateKeyInItsFiles(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	number, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	set, err := canary.New(seed, 1).With(string(number))
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for kind, der := range map[string][]byte{"EC PRIVATE KEY": sec1, "PRIVATE KEY": pkcs8} {
		file := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		for how, text := range map[string][]byte{
			"DER": der, "PEM": file, "kubeconfig": []byte("client-key-data: " + base64.StdEncoding.EncodeToString(file) + "\n"),
			"a log": []byte(`{"key":"` + strings.ReplaceAll(string(file), "\n", `\n`) + `"}`),
		} {
			if !finds(set, text, 1) {
				t.Errorf("%s of a %s: not found", how, kind)
			}
		}
	}
	if hits := set.Find("the public key", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})); len(hits) > 0 {
		t.Error(hits)
	}
}

// What no search could find is no secret to search for.
func TestWithRefusesWhatIsTooShort(t *testing.T) {
	set := canary.New(seed, 3)
	if _, err := set.With(strings.Repeat("x", canary.Fragment), strings.Repeat("x", canary.Fragment-1)); err == nil || !strings.Contains(err.Error(), "secret 4 has 11 bytes") {
		t.Errorf("%v", err)
	}
	if set.Len() != 3 {
		t.Errorf("the set has become one of %d", set.Len())
	}
}
